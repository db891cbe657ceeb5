"""The words that are printed for identities. Nothing is matched on what this module returns.

Titles are those of the strategy classes, by way of the catalog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psd_lab.report import catalog

if TYPE_CHECKING:
    from psd_lab.report.identity import Decoder, Family

AUTOREGRESSIVE = "AR decoding"


def decoder_title(name: str) -> str:
    """What a decoder is called."""
    return catalog.method(name).title


def policy_title(name: str) -> str:
    """What a policy is called; `greedy` and `autoregressive` are policies of a special setting."""
    if name == "autoregressive":
        return AUTOREGRESSIVE
    return decoder_title(name) if name == "greedy" else catalog.strategy("policy", name).title


def family_title(family: Family) -> str:
    """What a family is called: the method, its policy where that is not its usual one, and the
    strategies that are not its usual ones, such as `PSD (confidence), token_chain`.
    """
    policy = policy_title(family.policy)
    stop = catalog.strategy("stop", family.stop).title if family.stop else ""
    if not family.drafts:
        return _undrafted(family, policy, stop)
    usual = catalog.method(family.method)
    exchanged = [
        name
        for kind, name in (("drafter", family.drafter), ("acceptor", family.acceptor))
        if name != usual.usual_name(kind)
    ]
    more = [*exchanged, *(["eager"] if family.eager else []), *([stop] if stop else [])]
    return ", ".join([_method(family, policy), *more])


def point(decoder: Decoder) -> str:
    """What tells one setting of a family from the next: depth, number of branches, or the policy's
    first number.
    """
    if decoder.branches is not None:
        return f"k={decoder.branches}"
    if decoder.depth:
        return f"d={decoder.depth}"
    if decoder.policy_kind == "greedy":
        return ""
    given, declared = dict(decoder.policy.options), decoder.policy.declared
    ordered = [*(name for name in declared if name in given), *given]
    numbers = [given[name] for name in ordered if isinstance(given[name], int | float)]
    return f"{numbers[0]:g}" if numbers else ""


def label(decoder: Decoder, stored: str) -> str:
    """The words under which a row was written, except where a decoder is only its policy: then it
    is called so, whatever it was asked for as.
    """
    if decoder.family.policy == "autoregressive" and not decoder.stop:
        return AUTOREGRESSIVE
    if decoder.plain and decoder.decoder == "psd":
        return stored.removeprefix("psd(").removesuffix(", d=0)")
    return stored


def _undrafted(family: Family, policy: str, stop: str) -> str:
    if not stop:
        return policy
    if not family.method:
        return f"{policy}, {stop}"
    return stop if family.policy == "greedy" else f"{stop} ({policy})"


def _method(family: Family, policy: str) -> str:
    title = decoder_title(family.method)
    if family.method == "psd":
        return f"{title} ({policy})"
    if family.method == "spiffy" and family.drafter == "chain":
        return f"{title} chain"
    return title if family.has_usual_policy else f"{title} ({policy})"
