"""Registries: a strategy becomes a name, the package's own and a user's in the same way.

What is registered can be asked for by name wherever decoders are named: in `generate`,
`DecodeConfig.make`, a configuration's YAML, rows, tables and figures. A policy is also a decoder.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar

import torch

from psd_lib.core.cache import CachePlan, NoCache
from psd_lib.core.described import Described
from psd_lib.core.scores import Scores
from psd_lib.core.strategy import Acceptor, Drafter, NoDraft, Policy, StopRule
from psd_lib.errors import UserError

Kind = TypeVar("Kind", bound=Described)
PACKAGE = "psd_lib."

POLICIES: dict[str, type[Policy]] = {}
DRAFTERS: dict[str, type[Drafter]] = {NoDraft.name: NoDraft}
ACCEPTORS: dict[str, type[Acceptor]] = {}
STOPS: dict[str, type[StopRule]] = {}
CACHES: dict[str, type[CachePlan]] = {NoCache.name: NoCache}
KINDS: dict[str, tuple[type, dict[str, Any]]] = {
    "policy": (Policy, POLICIES),
    "drafter": (Drafter, DRAFTERS),
    "acceptor": (Acceptor, ACCEPTORS),
    "stop": (StopRule, STOPS),
    "cache": (CachePlan, CACHES),
}


@dataclass(frozen=True)
class Decoder:
    """A decoder by name: its parts, and which of them a user may set.

    `options` names the parts whose options a user may set, `exchange` the parts that a user may
    replace. `acceptor` None stands for replay. `note` and `reconstructed` are about the method as a
    whole; parts have their own.
    """

    policy: Policy
    drafter: Drafter = NoDraft()
    acceptor: Acceptor | None = None
    stop: StopRule | None = None
    options: tuple[str, ...] = ()
    exchange: tuple[str, ...] = ()
    title: str = ""
    source: str = ""
    note: str = ""
    reconstructed: bool = False


DECODERS: dict[str, Decoder] = {}


def register(strategy: type[Kind]) -> type[Kind]:
    """Make a strategy class known under its `name`; use it as a decorator.

    The class inherits Policy, Drafter, Acceptor, StopRule or CachePlan and is a frozen dataclass
    whose fields, its options, all have defaults. Registering a name of your own again replaces it.

    Example, a policy that commits every second mask, then `generate(model, prompts,
    policy="every_second", depth=3)` or `decoder="every_second"`::

        @register
        @dataclass(frozen=True)
        class EverySecond(Policy):
            stride: int = 2
            name: ClassVar[str] = "every_second"

            def select(self, scores, masked):
                return masked & (masked.cumsum(-1) % self.stride == 1 % self.stride)

    Raises:
        UserError: the class inherits none of the base classes, has no name, is not a frozen
            dataclass or has options without defaults; its name is taken; or a policy breaks a
            promise or a declaration.
    """
    kind, registry = kind_of(strategy)
    name = strategy.name
    if not isinstance(name, str) or not name:
        raise UserError(
            f'the {kind} {strategy.__name__} needs a name: add `name: ClassVar[str] = "..."`.'
        )
    if not _frozen(strategy):
        raise UserError(
            f"the {kind} {name!r} must be a frozen dataclass, so that its options can be stored "
            "with results."
        )
    try:
        example = strategy()
    except TypeError as error:
        raise UserError(f"the options of {kind} {name!r} need defaults: {error}.") from None
    earlier = registry.get(name) or (DECODERS.get(name) if kind == "policy" else None)
    if earlier is not None and not _may_replace(strategy, earlier):
        raise UserError(f"the {kind} name {name!r} is taken; these are: {', '.join(registry)}.")
    if isinstance(example, Policy):
        check_policy(example)
        DECODERS[name] = Decoder(
            example,
            options=("policy",) if fields(strategy) else (),  # type: ignore[arg-type]
            title=example.title or name,
            source=example.source or "registered by the user",
        )
    registry[name] = strategy
    return strategy


def register_decoder(name: str, decoder: Decoder) -> Decoder:
    """Make a decoder known under `name`.

    Raises:
        UserError: the name is taken.
    """
    if name in DECODERS:
        raise UserError(f"the decoder name {name!r} is taken; choose another one.")
    DECODERS[name] = decoder
    return decoder


def kind_of(strategy: type) -> tuple[str, dict[str, Any]]:
    """Return the kind of a strategy class and the registry of that kind.

    Raises:
        UserError: it inherits none of the base classes.
    """
    for kind, (base, registry) in KINDS.items():
        if isinstance(strategy, type) and issubclass(strategy, base):
            return kind, registry
    bases = ", ".join(base.__name__ for base, _ in KINDS.values())
    raise UserError(f"{strategy!r} is not a strategy: inherit one of {bases} from psd_lib.")


def check_policy(policy: Policy) -> None:
    """Raise UserError if the policy breaks a promise on a few small windows, naming the promise."""
    scores, masked = _windows()
    chosen = policy.select(scores, masked)
    if chosen.shape != masked.shape or chosen.dtype != torch.bool:
        got = f"{chosen.dtype} {list(chosen.shape)}"
        raise UserError(
            f"policy {policy.name!r} must return a bool tensor of the mask's shape, got {got}."
        )
    if (chosen & ~masked).any():
        raise UserError(
            f"policy {policy.name!r} selected positions that are not masked; combine its choice "
            "with `& masked`."
        )
    if (masked.any(-1) & ~chosen.any(-1)).any():
        raise UserError(
            f"policy {policy.name!r} selected nothing where positions were masked; it must select "
            "at least one."
        )
    stacked = policy.select(scores.map(lambda value: value[:, None]), masked[:, None])
    if not torch.equal(stacked[:, 0], chosen):
        raise UserError(
            f"policy {policy.name!r} must work over all leading dimensions alike: it sees [S, W] "
            "and [S, N, W]."
        )
    if policy.priority(scores).shape != masked.shape or not isinstance(policy.label, str):
        raise UserError(
            f"policy {policy.name!r} needs a `priority` of the mask's shape and a text `label`; "
            "leave both to Policy."
        )
    _check_declarations(policy, scores, masked, int(chosen.sum(-1).max()))


def _check_declarations(
    policy: Policy, scores: Scores, masked: torch.Tensor, committed: int
) -> None:
    if policy.max_commits is not None and committed > policy.max_commits:
        raise UserError(
            f"policy {policy.name!r} declares at most {policy.max_commits} commits a step and "
            f"selected {committed}; correct `max_commits`, on which exactness rests."
        )
    if policy.fixed_order:
        other = scores.map(lambda value: value.flip(-1))
        if not torch.equal(policy.select(other, masked), policy.select(scores, masked)):
            raise UserError(
                f"policy {policy.name!r} declares a fixed order but its choice depends on the "
                "scores; remove `fixed_order`, on which exactness rests."
            )


def check_foreign(policy: Policy) -> None:
    """Check a policy that is not the package's own, with the options that it has now."""
    if not type(policy).__module__.startswith(PACKAGE):
        check_policy(policy)


def _windows() -> tuple[Scores, torch.Tensor]:
    """Return scores and masks of 64 windows of 8 positions with ties, from empty to all masked."""
    generator = torch.Generator().manual_seed(0)
    confidence = (torch.rand(64, 8, generator=generator, dtype=torch.float32) * 8).round() / 8
    share = torch.linspace(0, 1, 64, dtype=torch.float32)[:, None]
    masked = torch.rand(64, 8, generator=generator, dtype=torch.float32) < share
    tokens = torch.zeros(64, 8, dtype=torch.long)
    return Scores(tokens, confidence, confidence / 2, 1 - confidence, 8 * confidence), masked


def _frozen(strategy: type) -> bool:
    return is_dataclass(strategy) and strategy.__dataclass_params__.frozen  # type: ignore[attr-defined]


def _may_replace(strategy: type, earlier: object) -> bool:
    """A name of the package's own is never replaced, one of the user's own is."""
    module = earlier.__module__ if isinstance(earlier, type) else PACKAGE
    return not module.startswith(PACKAGE)
