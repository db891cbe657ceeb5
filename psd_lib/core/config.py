"""Decoders by name: every published method is a choice of strategies, and decoders are data.

`DecodeConfig.make("psd", policy="local_leap", depth=5)` turns a name and flat options into
strategies; unknown names, options that the decoder does not have and impossible values are refused
with what would be accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from typing import Any

from psd_lib.core.accept import Replay
from psd_lib.core.cache import CachePlan, NoCache
from psd_lib.core.checks import at_least, known
from psd_lib.core.denoiser import Denoiser
from psd_lib.core.parts import (
    EXACT_RULE,
    PARTS,
    RECONSTRUCTED,
    RUN_OPTIONS,
    STORED,
    accepted,
    from_description,
    open_fields,
    part,
    parts_of,
    renamed,
)
from psd_lib.core.registry import DECODERS, Decoder, check_foreign
from psd_lib.core.strategy import Acceptor, Drafter, NoDraft, Policy, StopRule, Strategy
from psd_lib.errors import UserError, did_you_mean


@dataclass(frozen=True)
class DecodeConfig:
    """All settings that determine the output, apart from model and prompts.

    Make one with `DecodeConfig.make`. `block_length` None means the model's own; `gen_length` is
    the most tokens to generate, and where a block does not divide what is left of it the last block
    is shorter; `temperature` 0 is deterministic, above it noise is a function of (`seed`, prompt
    index, position).
    """

    decoder: str
    policy: Policy
    drafter: Drafter = field(default_factory=NoDraft)
    acceptor: Acceptor = field(default_factory=Replay)
    cache: CachePlan = field(default_factory=NoCache)
    block_length: int | None = None
    gen_length: int = 128
    temperature: float = 0.0
    seed: int = 0
    stop: StopRule | None = None

    def __post_init__(self) -> None:
        at_least("gen_length", self.gen_length, 1)
        at_least("seed", self.seed, 0, most=None)
        if self.block_length is not None:
            at_least("block_length", self.block_length, 1)
        number = isinstance(self.temperature, Real) and not isinstance(self.temperature, bool)
        if not number or not 0 <= self.temperature < float("inf"):
            raise UserError(
                f"temperature must be a number of at least 0, got {self.temperature!r}."
            )
        check_foreign(self.policy)
        self._check_parts()
        for strategy in self.strategies():
            strategy.check(self)

    def _check_parts(self) -> None:
        """Refuse combinations that the parts declare impossible."""
        if self.drafts and self.policy.no_drafts:
            raise UserError(
                f"policy {self.policy.name!r} cannot be combined with drafts: "
                f"{self.policy.no_drafts}; use it alone (depth=0), or draft for a policy that "
                "depends on the state alone, such as 'confidence'."
            )
        if self.stop is not None and self.policy.no_stop:
            raise UserError(
                f"policy {self.policy.name!r} cannot be combined with a stop rule: "
                f"{self.policy.no_stop}; use it alone, or stop a policy whose commits are final, "
                "such as 'confidence'."
            )

    @classmethod
    def make(cls, decoder: str = "psd", **options: Any) -> DecodeConfig:
        """Return the config of a decoder by name.

        Raises:
            UserError: a name, an option or a value that the decoder does not have.
        """
        known("decoder", decoder, DECODERS)
        chosen = DECODERS[decoder]
        options = renamed(options)
        parts = parts_of(chosen)
        for kind in chosen.exchange:
            if kind in options:
                parts[kind] = part(kind, options.pop(kind))
        run = {name: options.pop(name) for name in RUN_OPTIONS if name in options}
        if "cache" in run:
            run["cache"] = part("cache", run["cache"])
        for kind in PARTS:
            if parts[kind] is not None and kind in chosen.options:
                names = [f.name for f in open_fields(parts[kind]) if f.name in options]
                parts[kind] = replace(parts[kind], **{name: options.pop(name) for name in names})
        if options:
            names = accepted(chosen, parts)
            raise UserError(
                f"decoder {decoder!r} has no option {', '.join(map(repr, options))}"
                f"{did_you_mean(next(iter(options)), names)}; it accepts: {', '.join(names)}."
            )
        return cls(decoder, **parts, **run)

    def to_dict(self) -> dict[str, Any]:
        """Return the config as plain nested data, the input of a row's hash.

        A part that is not there is not mentioned.
        """
        parts = {name: getattr(self, name) for name in (*PARTS, "cache")}
        described = {STORED.get(n, n): p.describe() for n, p in parts.items() if p is not None}
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in parts}
        return {**rest, **described}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DecodeConfig:
        """Return the config that `to_dict` wrote, so that a stored row can be decoded again.

        Raises:
            UserError: an unknown key, name or option, or an impossible value.
        """
        written = {STORED.get(name, name): name for name in (*PARTS, "cache")}
        keys = [*(STORED.get(f.name, f.name) for f in fields(cls))]
        unknown = [key for key in data if key not in keys]
        if unknown:
            raise UserError(
                f"a decode configuration has no {', '.join(map(repr, unknown))}; "
                f"it has: {', '.join(keys)}."
            )
        known("decoder", data.get("decoder"), DECODERS)
        values = {key: value for key, value in data.items() if key not in written}
        for key, kind in written.items():
            if data.get(key) is not None:
                values[kind] = from_description(kind, data[key])
        return cls(**values)

    def strategies(self) -> list[Strategy]:
        """Return the parts that are there."""
        parts = (self.policy, self.drafter, self.acceptor, self.stop)
        return [part for part in parts if part is not None]

    def second_models(self) -> dict[str, Any]:
        """Return what each part that needs a second model has in its place: a name or a model.

        Keys name the part and its field, such as "policy.judge".
        """
        found: dict[str, Any] = {}
        for kind in PARTS:
            one = getattr(self, kind)
            if one is not None and one.needs.second_model:
                name = one.needs.second_model
                found[f"{kind}.{name}"] = getattr(one, name)
        return found

    def with_second_models(self, models: Mapping[str, Any]) -> DecodeConfig:
        """Return the config with loaded models in their places, keyed as in `second_models`.

        Raises:
            UserError: a model of a kind that does not fit its place.
        """
        parts = {}
        for key, model in models.items():
            kind, _, name = key.partition(".")
            one = getattr(self, kind)
            one.check_second_model(model)
            parts[kind] = replace(one, **{name: model})
        return replace(self, **parts)

    def resolved(self, denoiser: Denoiser) -> DecodeConfig:
        """Return the config with the cache plan that is meant for this model."""
        return replace(self, cache=self.cache.resolve(denoiser))

    @property
    def exact(self) -> bool:
        """Return whether outputs are provably the policy's own, decoded step by step.

        A stop rule makes them others. With an approximate cache they are the policy's own with
        that cache.
        """
        drafts = not self.drafts or self.acceptor.exact_for(self.policy, self.drafter)
        return self.stop is None and drafts

    @property
    def reconstructed(self) -> bool:
        """Return whether some rule is not published and this is our reading of it."""
        return any(part.reconstructed for part in self._noted())

    @property
    def fidelity(self) -> str:
        """Return `"exact rule"` or `"reconstructed"`."""
        return RECONSTRUCTED if self.reconstructed else EXACT_RULE

    @property
    def notes(self) -> list[str]:
        """Return what tables must print beside the label: a sentence for every reading of ours."""
        return [part.note for part in self._noted() if part.note]

    def _noted(self) -> list[Decoder | Strategy]:
        decoder = DECODERS.get(self.decoder)
        return [*([decoder] if decoder else []), *self.strategies()]

    @property
    def drafts(self) -> bool:
        """Return whether anything is guessed ahead of the policy's own step."""
        return self.drafter.depth != 0

    @property
    def depth(self) -> int:
        """Return how many states are guessed ahead; 0 is the bare policy."""
        return self.drafter.depth

    @property
    def bare(self) -> DecodeConfig:
        """Return the same policy without drafts and stop rule, the reference of exactness."""
        return replace(self, drafter=NoDraft(), acceptor=Replay(), stop=None)

    @property
    def label(self) -> str:
        """Return a short name for tables and legends, such as `psd(confidence 0.9, d=3)`.

        Approximate rules are named. A method that drafts goes by its own name; a policy that it
        does not leave open and its usual acceptor are not mentioned.
        """
        decoder = DECODERS.get(self.decoder, Decoder(self.policy, options=("policy",)))
        fixed = self.policy == decoder.policy and "policy" not in decoder.options
        parts = [] if fixed else [self.policy.label]
        parts += [self.drafter.label] if self.drafter.label else []
        usual = decoder.acceptor or Replay()
        if self.drafts and not isinstance(self.acceptor, Replay) and self.acceptor != usual:
            parts.append(self.acceptor.name)
        parts += [self.stop.label] if self.stop is not None else []
        parts += [f"T={self.temperature:g}"] if self.temperature else []
        if isinstance(decoder.drafter, NoDraft) and not fixed:
            return ", ".join(parts)
        return f"{self.decoder}({', '.join(parts)})" if parts else self.decoder
