"""Decoders by name: every published method is a choice of plugs, and presets are data.

`DecodeConfig.make("psd", policy="local_leap", depth=5)` turns a name and flat options into plugs;
unknown names, options that the decoder does not have and impossible values are refused with what
would be accepted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Real

from psd_lib.decoding.acceptance import (
    ACCEPTORS,
    Acceptor,
    BestMean,
    Foresight,
    LargestStep,
    Replay,
    TokenChain,
)
from psd_lib.decoding.binding import EXACT_RULE, RECONSTRUCTED, fidelity
from psd_lib.decoding.caches import CachePlan, NoCache
from psd_lib.decoding.checks import at_least, known
from psd_lib.decoding.drafts import (
    BUILDERS,
    Candidates,
    Chain,
    DraftBuilder,
    Explore,
    Lookahead,
    NoDraft,
    Packed,
)
from psd_lib.decoding.eager import check_eager
from psd_lib.decoding.exact_block import ExactBlock
from psd_lib.decoding.policies import (
    POLICIES,
    Credit,
    Entropy,
    EntropyBound,
    Factor,
    Hierarchy,
    Judged,
    Klass,
    LeftToRight,
    LocalLeap,
    Margin,
    Policy,
    SdarDynamic,
    SdarSequential,
    SdarStatic,
    Threshold,
    TopK,
    Wino,
)
from psd_lib.decoding.stops import STOPS, Prophet, Sched, StopRule
from psd_lib.errors import UserError

CACHES: dict[str, type] = {plan.name: plan for plan in (NoCache, ExactBlock)}
PLUGS = ("policy", "builder", "acceptor", "stop")
EXCHANGED = {
    "policy": ("any policy", POLICIES),
    "builder": ("any builder", BUILDERS),
    "acceptor": ("acceptor", ACCEPTORS),
    "stop": ("stop", STOPS),
}
RUN_OPTIONS = ("block_length", "gen_length", "temperature", "seed", "cache")


@dataclass(frozen=True)
class Preset:
    """A decoder's plugs and which of them a user may set.

    `open` names the plugs whose options a user may set, and "any policy", "any builder" where the
    plug itself may be exchanged. `fidelity` and `note` say what is our reading of the method as a
    whole; plugs carry their own.
    """

    policy: Policy
    builder: DraftBuilder = NoDraft()
    acceptor: Acceptor = Replay()
    open: tuple[str, ...] = ()
    source: str = ""
    stop: StopRule | None = None
    fidelity: str = EXACT_RULE
    note: str = ""


PRESETS: dict[str, Preset] = {
    "greedy": Preset(TopK(1), source="one token per step, the reference of all papers"),
    "top_k": Preset(TopK(2), open=("policy",), source="k tokens per step"),
    "left_to_right": Preset(LeftToRight(1), open=("policy",), source="fixed order"),
    "confidence": Preset(Threshold(), open=("policy",), source="Fast-dLLM, arXiv 2505.22618"),
    "local_leap": Preset(LocalLeap(), open=("policy",), source="LocalLeap, arXiv 2510.07081"),
    "factor": Preset(
        Factor(), open=("policy",), source="Fast-dLLM's factor rule, arXiv 2505.22618"
    ),
    "entropy_bound": Preset(
        EntropyBound(), open=("policy",), source="EB-Sampler, arXiv 2505.24857, as in sglang"
    ),
    "margin": Preset(Margin(), open=("policy",), source="the threshold rule on p(1st) - p(2nd)"),
    "entropy": Preset(
        Entropy(),
        open=("policy",),
        source="the threshold rule on entropy, as in d3LLM and dParallel",
    ),
    "sdar_dynamic": Preset(SdarDynamic(), open=("policy",), source="SDAR, its code"),
    "sdar_static": Preset(SdarStatic(), open=("policy",), source="SDAR, its code"),
    "sdar_sequential": Preset(SdarSequential(), open=("policy",), source="SDAR, its code"),
    "hierarchy": Preset(
        Hierarchy(), open=("policy",), source="hierarchical decoding of dInfer, its code"
    ),
    "klass": Preset(Klass(), open=("policy",), source="KLASS, arXiv 2511.05664, its code"),
    "credit": Preset(
        Credit(), open=("policy",), source="Credit decoding, arXiv 2510.06133, as in dInfer"
    ),
    "wino": Preset(Wino(), open=("policy",), source="WINO, arXiv 2507.18578, its code"),
    "prophet": Preset(
        TopK(1),
        open=("any policy", "policy", "stop"),
        source="Prophet, arXiv 2508.19982",
        stop=Prophet(),
    ),
    "sched": Preset(
        TopK(1),
        open=("any policy", "policy", "stop"),
        source="SchED, arXiv 2512.02892",
        stop=Sched(),
    ),
    "apd": Preset(Judged(), open=("policy",), source="APD, arXiv 2506.00413, its code"),
    "lopa": Preset(
        Threshold(),
        Lookahead(),
        BestMean(),
        open=("policy", "builder"),
        source="LoPA, arXiv 2512.16229, reconstructed",
    ),
    "fdm": Preset(
        TopK(1),
        Candidates(),
        Foresight(),
        open=("builder",),
        source="FDM, arXiv 2512.04135, reconstructed",
    ),
    "fdm_a": Preset(
        Threshold(),
        Candidates(),
        Foresight(),
        open=("policy", "builder"),
        source="FDM-A, arXiv 2512.04135, reconstructed",
    ),
    "ete": Preset(
        Threshold(),
        Explore(),
        LargestStep(),
        open=("policy", "builder"),
        source="ETE, arXiv 2511.21103, reconstructed",
    ),
    "ssd": Preset(
        TopK(1),
        Chain(),
        open=("any builder", "builder"),
        source=(
            "SSD, arXiv 2510.04147: depth N; builder='mix_order' for its tree, depth being the row"
            " budget"
        ),
    ),
    "freedave": Preset(
        TopK(1),
        Chain(),
        open=("any policy", "policy", "builder", "acceptor"),
        source=(
            "FreeDave, arXiv 2510.00294: K drafts are depth K - 1; with a threshold policy"
            " FreeDave++"
        ),
        note=(
            "FreeDave: drafts stay in their block unless eager=True, its mode across blocks. Its"
            " exact_match is replay."
        ),
    ),
    "simsd": Preset(
        LeftToRight(1),
        Packed(),
        TokenChain(),
        open=("builder", "acceptor"),
        source=(
            "SimSD, arXiv 2606.02544, its code; approximate (psd with builder='draft_model' is the"
            " exact alternative)"
        ),
    ),
    "spiffy": Preset(
        TopK(1),
        Chain(),
        open=("any builder", "builder", "acceptor"),
        source=(
            "Spiffy, arXiv 2509.18085, as PSD's temporal baseline: a chain; builder='calibrated'"
            " for its own graph"
        ),
        fidelity=RECONSTRUCTED,
        note=(
            "Spiffy as PSD's temporal baseline (reconstructed) is a chain of depth d; its own graph"
            " is builder 'calibrated'."
        ),
    ),
    "psd": Preset(
        Threshold(),
        Chain(),
        open=("any policy", "policy", "any builder", "builder", "acceptor", "stop"),
        source=(
            "PSD, arXiv 2605.15609; acceptance by replay is our exact reading of an unpublished"
            " rule"
        ),
        fidelity=RECONSTRUCTED,
        note=(
            "PSD (reconstructed): its acceptance rule and its tokens per level are not published;"
            " replay and 1 are our reading."
        ),
    ),
}


@dataclass(frozen=True)
class DecodeConfig:
    """Everything that decides the output besides model and prompts. Make it with
    `DecodeConfig.make`.

    `block_length` None means the model's own; `gen_length` is the most tokens to generate, and
    where a block does not divide what is left of it the last block is shorter; `temperature` 0 is
    deterministic, above it noise is a function of (`seed`, prompt index, position).
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
    stop: StopRule | None = None

    def __post_init__(self):
        if self.drafts and hasattr(self.policy, "no_drafts"):
            raise UserError(
                f"policy {self.policy.name!r} cannot be combined with drafts:"
                f" {self.policy.no_drafts}; use it alone (depth=0), or draft for a policy that"
                " depends on the state alone, such as 'confidence'."
            )
        if self.stop is not None and hasattr(self.policy, "no_stop"):
            raise UserError(
                f"policy {self.policy.name!r} cannot be combined with a stop rule:"
                f" {self.policy.no_stop}; use it alone, or stop a policy whose commits are final,"
                " such as 'confidence'."
            )
        check_eager(self)
        at_least("gen_length", self.gen_length, 1)
        at_least("seed", self.seed, 0)
        if self.block_length is not None:
            at_least("block_length", self.block_length, 1)
        if (
            isinstance(self.temperature, bool)
            or not isinstance(self.temperature, Real)
            or not self.temperature >= 0
        ):
            raise UserError(
                f"temperature must be a number of at least 0, got {self.temperature!r}."
            )

    @classmethod
    def make(cls, decoder: str = "psd", **options) -> DecodeConfig:
        """The config of a decoder by name. Raises UserError for names, options and values that it
        does not have.
        """
        known("decoder", decoder, PRESETS)
        preset = PRESETS[decoder]
        plugs = {kind: getattr(preset, kind) for kind in PLUGS}
        for kind, (slot, registry) in EXCHANGED.items():
            if slot in preset.open and kind in options:
                plugs[kind] = _plug(kind, options.pop(kind), registry)
        run = {name: options.pop(name) for name in RUN_OPTIONS if name in options}
        if "cache" in run:
            run["cache"] = _plug("cache", run["cache"], CACHES)
        for kind in PLUGS:
            if kind in preset.open and plugs[kind] is not None:
                mine = {
                    f.name: options.pop(f.name) for f in fields(plugs[kind]) if f.name in options
                }
                plugs[kind] = replace(plugs[kind], **mine)
        if options:
            raise UserError(
                f"decoder {decoder!r} has no option {', '.join(map(repr, options))}; "
                f"it accepts: {', '.join(_accepted(preset, plugs))}."
            )
        return cls(decoder, **plugs, **run)

    def to_dict(self) -> dict:
        """The config as plain nested data, the input of a run's hash; a plug that is not there is
        not mentioned.
        """
        plugs = {
            kind: _describe(getattr(self, kind))
            for kind in (*PLUGS, "cache")
            if getattr(self, kind) is not None
        }
        rest = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in (*PLUGS, "cache")
        }
        return {**rest, **plugs}

    @property
    def exact(self) -> bool:
        """Whether outputs are provably the policy's own, decoded step by step; a stop rule makes
        them others.
        """
        return self.stop is None and (
            not self.drafts or self.acceptor.exact_for(self.policy, self.builder)
        )

    @property
    def fidelity(self) -> str:
        """`"exact rule"`, or `"reconstructed"` where a rule is not published and this is our
        reading of it.
        """
        return fidelity((PRESETS.get(self.decoder), *self._plugs()))

    @property
    def notes(self) -> list[str]:
        """What tables must say beside the label: one sentence for everything reconstructed or
        adapted.
        """
        found = (getattr(part, "note", "") for part in (PRESETS.get(self.decoder), *self._plugs()))
        return [note for note in found if note]

    def _plugs(self) -> list:
        return [getattr(self, kind) for kind in PLUGS if getattr(self, kind) is not None]

    @property
    def drafts(self) -> bool:
        """Whether anything is guessed ahead of the policy's own step."""
        return not isinstance(self.builder, NoDraft) and getattr(self.builder, "depth", 1) != 0

    def attach(self, model) -> DecodeConfig:
        """The config with its second models loaded and compared with the target `model`
        (`psd_lib.models.Model`).
        """
        found = {kind: getattr(self, kind) for kind in PLUGS}
        return replace(
            self,
            **{kind: plug.attach(model) for kind, plug in found.items() if hasattr(plug, "attach")},
        )

    @property
    def depth(self) -> int:
        """How many draft levels are guessed ahead; 0 is the bare policy."""
        return getattr(self.builder, "depth", 0)

    @property
    def bare(self) -> DecodeConfig:
        """The same policy without drafts and stop rule: the reference that exactness is measured
        against.
        """
        return replace(self, builder=NoDraft(), acceptor=Replay(), stop=None)

    @property
    def label(self) -> str:
        """Short name for tables and legends, such as `psd(confidence 0.9, d=3)`; approximate rules
        are named.

        A method that drafts goes by its own name; a policy that it does not leave open and its own
        acceptor are not said.
        """
        preset = PRESETS.get(self.decoder, Preset(self.policy, open=("policy",)))
        fixed = self.policy == preset.policy and "policy" not in preset.open
        parts = [] if fixed else [self.policy.label]
        parts += [self.builder.label] if self.builder.label else []
        if (
            self.drafts
            and not isinstance(self.acceptor, Replay)
            and self.acceptor != preset.acceptor
        ):
            parts.append(self.acceptor.name)
        parts += [self.stop.label] if self.stop is not None else []
        parts += [f"T={self.temperature:g}"] if self.temperature else []
        if isinstance(preset.builder, NoDraft) and not fixed:
            return ", ".join(parts)
        return f"{self.decoder}({', '.join(parts)})" if parts else self.decoder


def notes_of(described: dict) -> tuple[str, list[str]]:
    """Fidelity and notes of a config that was stored as data (`DecodeConfig.to_dict`), for tables
    made from rows.

    Plugs that are not registered in this process (a user's own, from elsewhere) are taken as they
    say nothing.
    """
    plugs = [
        registry.get(described.get(kind, {}).get("name"))
        for kind, (_, registry) in EXCHANGED.items()
    ]
    parts = [PRESETS.get(described["decoder"]), *plugs]
    return fidelity(parts), [part.note for part in parts if getattr(part, "note", "")]


def _plug(kind: str, value, registry: dict[str, type]):
    if isinstance(value, str):
        known(kind, value, registry)
        return registry[value]()
    if not hasattr(value, "name"):
        raise UserError(
            f"{kind} must be one of {', '.join(registry)} or an object with the {kind} interface."
        )
    return value


def _describe(plug) -> dict:
    return {"name": plug.name, **(plug.describe() if hasattr(plug, "describe") else asdict(plug))}


def _accepted(preset: Preset, plugs: dict) -> list[str]:
    names = [
        f.name
        for kind in PLUGS
        if kind in preset.open and plugs[kind] is not None
        for f in fields(plugs[kind])
    ]
    names += [kind for kind, (slot, _) in EXCHANGED.items() if slot in preset.open]
    return names + list(RUN_OPTIONS)
