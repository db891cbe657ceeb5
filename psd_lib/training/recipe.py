"""What a training run is made of: sizes, stages, learning rates, block lengths. One entry per embedded model."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from psd_lib.training.network import Shape


@dataclass(frozen=True)
class Stage:
    """One stretch of training with one objective and its own learning-rate schedule.

    `objective` is "next_token" or "block_diffusion". The stage ends after `steps` steps, or `minutes` minutes of
    training if that is first. `drills` is the share of arithmetic drills among the rows. `blocks` lists
    (from this share of the stage on, {block length: share of the steps}); `windows` is the share of
    semi-autoregressive mask states; with `hide_numerals` these keep every numeral behind the first masked position
    masked. A share `full_attention` of the steps with block lengths above 1 trains with full instead of block-causal
    attention (with block length 1 one block-causal pass supervises every position, a full one a single position). `mixture` gives the proportions of the recipe's tasks (None: equal).
    """

    name: str
    objective: str
    steps: int
    minutes: float = float("inf")
    rate: float = 0.004
    last_rate: float = 0.1
    warmup: int = 40
    drills: float = 0.15
    windows: float = 0.6
    hide_numerals: bool = False
    full_attention: float = 0.0
    mixture: tuple[float, ...] | None = None
    blocks: tuple[tuple[float, dict[int, float]], ...] = ()

    def block_shares(self, progress: float) -> dict[int, float]:
        """The block lengths and their shares in force at `progress` (0 to 1) of the stage."""
        return [shares for start, shares in self.blocks if progress >= start][-1]


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run besides the machine.

    `family` is the model_type; `start` names the embedded model whose weights and tokenizer
    the run begins with (None: from scratch), `tokenizer` one whose tokenizer alone is used. Rows end with up to `tail`
    further blocks of end-of-text. `history` tells in the card how the published run differed from the recipe.
    """

    stages: tuple[Stage, ...]
    shape: Shape = field(default_factory=Shape)
    tasks: tuple[str, ...] = ("mini-gsm", "mini-humaneval", "mini-mbpp")
    seed: int = 1
    tokens: int = 6144
    block_length: int = 32
    tokenizer_examples: int = 20_000
    family: str = "sdar"
    start: str | None = None
    tokenizer: str | None = None
    tail: int = 0
    history: str = ""


# Stages that keep the arithmetic: many semi-autoregressive states without a visible result to copy, half of the rows word problems.
arithmetic = partial(Stage, objective="block_diffusion", windows=0.7, hide_numerals=True, mixture=(0.5, 0.25, 0.25))

AUTOREGRESSIVE = Recipe(
    family="qwen3",
    block_length=1,
    history="The published run was interrupted nine steps into what was then its second stage; the weights went on from there "
    "in the stage with the falling rate. The drills of its first stage had numbers up to 300.",
    stages=(
        Stage("next token", "next_token", steps=1150, last_rate=0.3, drills=0.2),
        Stage("falling rate", "next_token", steps=160, rate=0.0012, last_rate=0.0, warmup=20, drills=0.1, mixture=(0.5, 0.25, 0.25)),
    ),
)

SHORT_BLOCKS = Recipe(
    start="mini-ar",
    block_length=8,
    history="The published run was stopped and resumed three times, and took the optimizers' state over from the "
    "autoregressive run, which had then not had its stage with the falling rate. The last two stages were decided on while it ran, "
    "because accuracy on mini-gsm had fallen to a few per cent; block length 1, hidden numerals, more drills and more "
    "word problems came in together, so their shares in the recovery are not separated.",
    stages=(
        Stage(
            "block diffusion",
            "block_diffusion",
            steps=1110,
            last_rate=0.6,
            drills=0.1,
            blocks=((0.0, {4: 0.5, 8: 0.5}), (0.37, {8: 0.5, 16: 0.5}), (0.87, {8: 0.2, 16: 0.3, 32: 0.5})),
        ),
        arithmetic(
            "long blocks",
            steps=950,
            rate=0.0024,
            last_rate=0.33,
            warmup=1,
            drills=0.3,
            blocks=((0.0, {1: 0.4, 4: 0.15, 8: 0.25, 16: 0.2}), (0.52, {1: 0.2, 8: 0.3, 16: 0.25, 32: 0.25})),
        ),
        arithmetic(
            "longest blocks",
            steps=500,
            rate=0.0008,
            last_rate=0.0,
            warmup=1,
            drills=0.2,
            mixture=(0.4, 0.3, 0.3),
            blocks=((0.0, {1: 0.1, 8: 0.1, 16: 0.3, 32: 0.5}),),
        ),
    ),
)

BLOCKS_OF_32 = Recipe(
    start="mini-sdar-b8",
    history="The published run took the optimizers' state over from the run of mini-sdar-b8.",
    stages=(
        arithmetic(
            "blocks of 32",
            steps=900,
            rate=0.0016,
            last_rate=0.0,
            warmup=20,
            drills=0.2,
            blocks=((0.0, {1: 0.1, 8: 0.1, 16: 0.1, 32: 0.7}),),
        ),
        arithmetic(
            "more blocks of 32",
            steps=1500,
            rate=0.002,
            last_rate=0.0,
            warmup=30,
            drills=0.15,
            blocks=((0.0, {1: 0.1, 8: 0.05, 16: 0.15, 32: 0.7}),),
        ),
    ),
)

# Full attention from the start would unlearn the arithmetic: a result is then copied from what stands behind it.
BIDIRECTIONAL = Recipe(
    family="llada",
    # Trained with up to 32, but with 8 answers to word problems are clearly better on validation items.
    block_length=8,
    start="mini-sdar",
    tail=2,
    history="The published run's third stage was added when accuracy on validation items was still low after two. The first 120 "
    "to 140 steps followed a schedule for 500 steps.",
    stages=(
        arithmetic(
            "both attentions",
            steps=320,
            rate=0.0024,
            last_rate=0.6,
            drills=0.15,
            full_attention=0.6,
            blocks=((0.0, {1: 0.15, 8: 0.25, 16: 0.25, 32: 0.35}),),
        ),
        arithmetic(
            "full attention",
            steps=360,
            rate=0.0014,
            last_rate=0.0,
            warmup=1,
            drills=0.1,
            full_attention=0.95,
            blocks=((0.0, {1: 0.05, 8: 0.2, 16: 0.2, 32: 0.55}),),
        ),
        arithmetic(
            "more full attention",
            steps=850,
            rate=0.0022,
            last_rate=0.0,
            warmup=30,
            drills=0.1,
            full_attention=0.9,
            blocks=((0.0, {1: 0.05, 8: 0.2, 16: 0.25, 32: 0.5}),),
        ),
    ),
)

SHIFTED = Recipe(
    family="Dream",
    # As for mini-llada.
    block_length=8,
    start="mini-ar",
    tail=2,
    history="The first stage of the published run was changed while it ran: about 150 steps followed a schedule for 450 steps and about "
    "130 more one for 300, with other shares of block lengths (30 % of length 1) and 20 % full attention; then it went on as above.",
    stages=(
        arithmetic(
            "block diffusion",
            steps=700,
            rate=0.003,
            last_rate=0.6,
            drills=0.2,
            full_attention=0.15,
            blocks=((0.0, {1: 0.1, 4: 0.4, 8: 0.4, 16: 0.1}), (0.65, {1: 0.1, 8: 0.3, 16: 0.3, 32: 0.3})),
        ),
        arithmetic(
            "both attentions",
            steps=400,
            rate=0.0018,
            last_rate=0.6,
            warmup=1,
            drills=0.15,
            full_attention=0.6,
            blocks=((0.0, {1: 0.1, 8: 0.25, 16: 0.25, 32: 0.4}),),
        ),
        arithmetic(
            "full attention",
            steps=350,
            rate=0.0012,
            last_rate=0.0,
            warmup=1,
            drills=0.1,
            full_attention=0.95,
            blocks=((0.0, {1: 0.05, 8: 0.2, 16: 0.2, 32: 0.55}),),
        ),
        arithmetic(
            "more full attention",
            steps=1500,
            rate=0.0024,
            last_rate=0.0,
            warmup=30,
            drills=0.1,
            full_attention=0.9,
            blocks=((0.0, {1: 0.05, 8: 0.3, 16: 0.25, 32: 0.4}),),
        ),
        arithmetic(
            "native blocks",
            steps=1200,
            rate=0.0022,
            last_rate=0.0,
            warmup=30,
            drills=0.1,
            full_attention=0.95,
            mixture=(0.6, 0.2, 0.2),
            blocks=((0.0, {1: 0.05, 4: 0.1, 8: 0.45, 16: 0.2, 32: 0.2}),),
        ),
    ),
)

DRAFT = Recipe(
    tokenizer="mini-ar",
    shape=Shape(hidden=96, layers=4, heads=3, ffn=256),
    stages=(
        Stage("next token", "next_token", steps=700, last_rate=0.4, drills=0.2),
        Stage(
            "block diffusion",
            "block_diffusion",
            steps=900,
            rate=0.003,
            last_rate=0.0,
            drills=0.2,
            windows=0.7,
            hide_numerals=True,
            mixture=(0.4, 0.3, 0.3),
            blocks=((0.0, {1: 0.4, 4: 0.2, 8: 0.4}), (0.4, {1: 0.15, 8: 0.25, 32: 0.6})),
        ),
    ),
)

RECIPES = {
    "mini-ar": AUTOREGRESSIVE,
    "mini-sdar-b8": SHORT_BLOCKS,
    "mini-sdar": BLOCKS_OF_32,
    "mini-llada": BIDIRECTIONAL,
    "mini-dream": SHIFTED,
    "mini-sdar-draft": DRAFT,
}
