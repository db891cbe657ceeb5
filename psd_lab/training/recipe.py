"""What a training run is made of: sizes, stages, learning rates, block lengths."""

from __future__ import annotations

from dataclasses import dataclass, field

from psd_lab.training.network import Shape


@dataclass(frozen=True)
class Stage:
    """One stretch of training with one objective and its own learning-rate schedule.

    `objective` is "next_token" or "block_diffusion". The stage ends after `steps` steps, or
    `minutes` minutes of training if that is first. `drills` is the share of arithmetic drills among
    the rows. `blocks` lists (from this share of the stage on, {block length: share of the steps});
    `windows` is the share of semi-autoregressive mask states; with `hide_numerals` these keep every
    numeral behind the first masked position masked. A share `full_attention` of the steps with
    block lengths above 1 trains with full instead of block-causal attention (with block length 1
    one block-causal pass supervises every position, a full one a single position). `mixture` gives
    the proportions of the recipe's tasks (None: equal).
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

    `family` is the model_type; `start` names the embedded model whose weights and tokenizer the run
    begins with (None: from scratch), `tokenizer` one whose tokenizer alone is used. Rows end with
    up to `tail` further blocks of end-of-text. `history` tells in the card how the published run
    differed from the recipe.
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
