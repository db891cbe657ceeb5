"""Decoders by name: every published method is a choice of plugs, and presets are data.

`DecodeConfig.make("psd", policy="local_leap", depth=5)` turns a name and flat options into plugs; unknown names, options
that the decoder does not have and impossible values are refused with what would be accepted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Real

from psd_lib.decoding.acceptance import ACCEPTORS, Acceptor, Replay
from psd_lib.decoding.caches import CachePlan, NoCache
from psd_lib.decoding.checks import at_least, known
from psd_lib.decoding.drafts import Chain, DraftBuilder, NoDraft
from psd_lib.decoding.exact_block import ExactBlock
from psd_lib.decoding.policies import POLICIES, LeftToRight, LocalLeap, Policy, Threshold, TopK
from psd_lib.errors import UserError

CACHES: dict[str, type] = {plan.name: plan for plan in (NoCache, ExactBlock)}
RUN_OPTIONS = ("block_length", "gen_length", "temperature", "seed", "cache")


@dataclass(frozen=True)
class Preset:
    """A decoder's plugs and which of them a user may set: `open` names plugs ("policy", "builder", "acceptor")."""

    policy: Policy
    builder: DraftBuilder = NoDraft()
    acceptor: Acceptor = Replay()
    open: tuple[str, ...] = ()
    source: str = ""


PRESETS: dict[str, Preset] = {
    "greedy": Preset(TopK(1), source="one token per step, the reference of all papers"),
    "top_k": Preset(TopK(2), open=("policy",), source="k tokens per step"),
    "left_to_right": Preset(LeftToRight(1), open=("policy",), source="fixed order"),
    "confidence": Preset(Threshold(), open=("policy",), source="Fast-dLLM, arXiv 2505.22618"),
    "local_leap": Preset(LocalLeap(), open=("policy",), source="LocalLeap, arXiv 2510.07081"),
    "spiffy": Preset(
        TopK(1), Chain(), open=("builder", "acceptor"),
        source="Spiffy, arXiv 2509.18085, as PSD's temporal baseline: a chain instead of the calibrated graph",
    ),
    "psd": Preset(
        Threshold(), Chain(), open=("any policy", "policy", "builder", "acceptor"),
        source="PSD, arXiv 2605.15609; acceptance by replay is our exact reading of an unpublished rule",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class DecodeConfig:
    """Everything that decides the output besides model and prompts. Make it with `DecodeConfig.make`.

    `block_length` None means the model's own; `gen_length` is the most tokens to generate, and where a block does not
    divide what is left of it the last block is shorter; `temperature` 0 is deterministic, above it noise is a function
    of (`seed`, prompt index, position).
    """

    decoder: str
    policy: Policy
    builder: DraftBuilder = field(default_factory=NoDraft)
    acceptor: Acceptor = field(default_factory=Replay)
    cache: CachePlan = field(default_factory=NoCache)
    block_length: int | None = None
    gen_length: int = 128
    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self):
        at_least("gen_length", self.gen_length, 1)
        at_least("seed", self.seed, 0)
        if self.block_length is not None:
            at_least("block_length", self.block_length, 1)
        if isinstance(self.temperature, bool) or not isinstance(self.temperature, Real) or not self.temperature >= 0:
            raise UserError(f"temperature must be a number of at least 0, got {self.temperature!r}.")

    @classmethod
    def make(cls, decoder: str = "psd", **options) -> DecodeConfig:
        """The config of a decoder by name. Raises UserError for names, options and values that it does not have."""
        known("decoder", decoder, PRESETS)
        preset = PRESETS[decoder]
        plugs = {"policy": preset.policy, "builder": preset.builder, "acceptor": preset.acceptor}
        if "any policy" in preset.open and "policy" in options:
            plugs["policy"] = _plug("policy", options.pop("policy"), POLICIES)
        if "acceptor" in preset.open and "acceptor" in options:
            plugs["acceptor"] = _plug("acceptor", options.pop("acceptor"), ACCEPTORS)
        run = {name: options.pop(name) for name in RUN_OPTIONS if name in options}
        if "cache" in run:
            run["cache"] = _plug("cache", run["cache"], CACHES)
        for kind in ("policy", "builder", "acceptor"):
            if kind in preset.open:
                mine = {f.name: options.pop(f.name) for f in fields(plugs[kind]) if f.name in options}
                plugs[kind] = replace(plugs[kind], **mine)
        if options:
            raise UserError(
                f"decoder {decoder!r} has no option {', '.join(map(repr, options))}; "
                f"it accepts: {', '.join(_accepted(preset, plugs))}."
            )
        return cls(decoder, **plugs, **run)

    def to_dict(self) -> dict:
        """The config as plain nested data, the input of a run's hash."""
        plugs = {kind: _describe(getattr(self, kind)) for kind in ("policy", "builder", "acceptor", "cache")}
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in plugs}
        return {**rest, **plugs}

    @property
    def exact(self) -> bool:
        """Whether outputs are provably the policy's own, decoded step by step."""
        return not self.drafts or self.acceptor.exact_for(self.policy, self.builder)

    @property
    def drafts(self) -> bool:
        """Whether anything is guessed ahead of the policy's own step."""
        return not isinstance(self.builder, NoDraft) and getattr(self.builder, "depth", 1) != 0

    def attach(self, model) -> DecodeConfig:
        """The config with its second models loaded and compared with the target `model` (`psd_lib.models.Model`)."""
        found = {kind: getattr(self, kind) for kind in ("policy", "builder", "acceptor")}
        return replace(self, **{kind: plug.attach(model) for kind, plug in found.items() if hasattr(plug, "attach")})

    @property
    def depth(self) -> int:
        """How many draft levels are guessed ahead; 0 is the bare policy."""
        return getattr(self.builder, "depth", 0)

    @property
    def bare(self) -> DecodeConfig:
        """The same policy without drafts: the reference that exactness is measured against."""
        return replace(self, builder=NoDraft(), acceptor=Replay())

    @property
    def label(self) -> str:
        """Short name for tables and legends, such as `psd(confidence 0.9, d=3)`; approximate rules are named."""
        parts = [self.policy.label] if self.decoder not in ("greedy", "spiffy") else []
        parts += [self.builder.label] if self.builder.label else []
        if self.drafts and not isinstance(self.acceptor, Replay):
            parts.append(self.acceptor.name)
        if self.decoder not in ("psd", "spiffy") and parts:
            return ", ".join(parts)
        return f"{self.decoder}({', '.join(parts)})" if parts else self.decoder


def _plug(kind: str, value, registry: dict[str, type]):
    if isinstance(value, str):
        known(kind, value, registry)
        return registry[value]()
    if not hasattr(value, "name"):
        raise UserError(f"{kind} must be one of {', '.join(registry)} or an object with the {kind} interface.")
    return value


def _describe(plug) -> dict:
    return {"name": plug.name, **(plug.describe() if hasattr(plug, "describe") else asdict(plug))}


def _accepted(preset: Preset, plugs: dict) -> list[str]:
    names = [f.name for kind in ("policy", "builder", "acceptor") if kind in preset.open for f in fields(plugs[kind])]
    names += [kind for kind, slot in (("policy", "any policy"), ("acceptor", "acceptor")) if slot in preset.open]
    return names + list(RUN_OPTIONS)
