"""`register`: a plug of the user's own becomes a name, like those that come with the package.

A policy, builder, acceptor or stop rule that is registered can be asked for by name wherever
decoders are named: in `generate`, `DecodeConfig.make`, a configuration's YAML, rows, tables and
figures. A policy is also a decoder of its own.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import torch

from psd_lib.decoding.acceptance import ACCEPTORS
from psd_lib.decoding.drafts import BUILDERS
from psd_lib.decoding.policies import POLICIES
from psd_lib.decoding.presets import PRESETS, Preset
from psd_lib.decoding.scores import Scores
from psd_lib.decoding.stops import STOPS
from psd_lib.errors import UserError

KINDS = {
    "select": ("policy", POLICIES),
    "build": ("builder", BUILDERS),
    "reach": ("acceptor", ACCEPTORS),
    "choose": ("acceptor", ACCEPTORS),
    "stop": ("stop rule", STOPS),
}
_OWN: set[tuple[str, str]] = set()


def register(plug: type) -> type:
    """Make a plug class known under its `name`; use it as a decorator. Registering a name of your
    own again replaces it.

    The class is a frozen dataclass whose fields, its options, all have defaults; `source` and
    `note`, if there, are printed with tables. Its kind is read off its method: `select` policy,
    `build` builder, `reach` or `choose` acceptor, `stop` stop rule. Raises UserError for a class
    without these, a name that is taken, and a policy that breaks a promise.

    Example, a policy that commits every second mask, then `generate(model, prompts,
    policy="every_second", depth=3)` or `decoder="every_second"`::

        @register
        @dataclass(frozen=True)
        class EverySecond(ByConfidence):
            stride: int = 2
            name: ClassVar[str] = "every_second"

            def select(self, scores, masked):
                return masked & (masked.cumsum(-1) % self.stride == 1 % self.stride)
    """
    kinds = [kind for method, kind in KINDS.items() if callable(getattr(plug, method, None))]
    if not kinds:
        raise UserError(f"{plug!r} is no plug: it needs one of the methods {', '.join(KINDS)}.")
    kind, registry = kinds[0]
    name = getattr(plug, "name", None)
    if not isinstance(name, str) or not name:
        raise UserError(
            f'the {kind} {plug.__name__} needs a name: add `name: ClassVar[str] = "..."`.'
        )
    if not is_dataclass(plug) or not plug.__dataclass_params__.frozen:
        raise UserError(
            f"the {kind} {name!r} must be a frozen dataclass, so that its options can be stored"
            " with results."
        )
    try:
        example = plug()
    except TypeError as error:
        raise UserError(f"the options of {kind} {name!r} need defaults: {error}.") from None
    taken = name in registry or (kind == "policy" and name in PRESETS)
    if taken and (kind, name) not in _OWN:
        raise UserError(
            f"the {kind} name {name!r} is taken; choose another one than: {', '.join(registry)}."
        )
    if kind == "policy":
        check_policy(example)
        slots = ("policy",) if fields(plug) else ()
        PRESETS[name] = Preset(
            example, open=slots, source=getattr(plug, "source", "registered by the user")
        )
    registry[name] = plug
    _OWN.add((kind, name))
    return plug


def check_policy(policy) -> None:
    """Raise UserError when the policy breaks one of its promises on a few small windows, naming the
    promise.
    """
    generator = torch.Generator().manual_seed(0)
    confidence = (torch.rand(64, 8, generator=generator) * 8).round() / 8
    masked = torch.rand(64, 8, generator=generator) < torch.linspace(0, 1, 64)[:, None]
    scores = Scores(
        torch.zeros(64, 8, dtype=torch.long),
        confidence,
        confidence / 2,
        1 - confidence,
        8 * confidence,
    )
    chosen = policy.select(scores, masked)
    if chosen.shape != masked.shape or chosen.dtype != torch.bool:
        got = f"{chosen.dtype} {list(chosen.shape)}"
        raise UserError(
            f"policy {policy.name!r} must return a bool tensor of the mask's shape, got {got}."
        )
    if (chosen & ~masked).any():
        raise UserError(
            f"policy {policy.name!r} selected positions that are not masked; combine its choice"
            " with `& masked`."
        )
    if (masked.any(-1) & ~chosen.any(-1)).any():
        raise UserError(
            f"policy {policy.name!r} selected nothing where positions were masked; it must select"
            " at least one."
        )
    stacked = policy.select(scores.map(lambda value: value[:, None]), masked[:, None])
    if not torch.equal(stacked[:, 0], chosen):
        raise UserError(
            f"policy {policy.name!r} must work over all leading dimensions alike: it sees [S, W]"
            " and [S, N, W]."
        )
    if policy.priority(scores).shape != masked.shape or not isinstance(policy.label, str):
        raise UserError(
            f"policy {policy.name!r} needs a `priority` of the mask's shape and a text `label`;"
            " inherit ByConfidence."
        )
