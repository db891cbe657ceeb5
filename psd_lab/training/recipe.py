"""What a training run is made of: sizes, stages, learning rates, block lengths."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from psd_lab import tasks
from psd_lab.training.batches import LONGEST_BLOCK
from psd_lab.training.network import Shape
from psd_lib.errors import UserError
from psd_lib.models.families import FAMILIES

OBJECTIVES = ("next_token", "block_diffusion")


@dataclass(frozen=True)
class Stage:
    """One stretch of training with one objective and its own learning-rate schedule.

    Attributes:
        objective: "next_token" or "block_diffusion".
        steps: Number of optimizer steps.
        minutes: Limit on the time of training; the stage ends with whichever comes first.
        rate: Learning rate after `warmup` steps; it falls linearly to `last_rate` times this.
        drills: Share of arithmetic drills among the rows.
        windows: Share of semi-autoregressive mask states.
        hide_numerals: Whether these keep every numeral behind their first masked position masked.
        full_attention: Share of the steps with block lengths above 1 that train with full instead
            of block-causal attention. (With block length 1 one block-causal pass supervises every
            position, a full one a single position.)
        mixture: Proportions of the recipe's tasks; None for equal ones.
        blocks: Pairs (from this share of the stage on, {block length: share of the steps}).
    """

    name: str
    objective: str
    steps: int
    minutes: float = math.inf
    rate: float = 0.004
    last_rate: float = 0.1
    warmup: int = 40
    drills: float = 0.15
    windows: float = 0.6
    hide_numerals: bool = False
    full_attention: float = 0.0
    mixture: tuple[float, ...] | None = None
    blocks: tuple[tuple[float, dict[int, float]], ...] = ()

    def __post_init__(self) -> None:
        stage = f"stage {self.name!r}"
        if self.objective not in OBJECTIVES:
            raise UserError(
                f"objective of {stage} must be one of {', '.join(OBJECTIVES)}, not"
                f" {self.objective!r}."
            )
        for name in ("steps", "warmup"):
            _whole(f"{name} of {stage}", getattr(self, name))
        for name in ("minutes", "rate"):
            if not _number(getattr(self, name)) or not getattr(self, name) > 0:
                raise UserError(f"{name} of {stage} must be above 0, not {getattr(self, name)!r}.")
        for name in ("last_rate", "drills", "windows", "full_attention"):
            if not _number(getattr(self, name)) or not 0 <= getattr(self, name) <= 1:
                raise UserError(
                    f"{name} of {stage} must be between 0 and 1, not {getattr(self, name)!r}."
                )
        if self.objective == "block_diffusion":
            self._check_blocks(stage)

    def _check_blocks(self, stage: str) -> None:
        if not self.blocks or self.blocks[0][0] != 0:
            raise UserError(f"blocks of {stage} must begin at 0, not {self.blocks!r}.")
        lengths = [length for _, shares in self.blocks for length in shares]
        if any(length < 1 or LONGEST_BLOCK % length for length in lengths):
            raise UserError(
                f"block lengths of {stage} must divide {LONGEST_BLOCK}, not {lengths!r}."
            )

    def block_shares(self, progress: float) -> dict[int, float]:
        """Return the block lengths and their shares at `progress` (0 to 1) of the stage."""
        return [shares for start, shares in self.blocks if progress >= start][-1]


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a training run but the machine.

    Attributes:
        tokens: Padded tokens of a batch, about.
        block_length: The trained model's native block length.
        tokenizer_examples: Examples that the tokenizer is learned from.
        family: The `model_type`.
        start: The embedded model whose weights and tokenizer the run begins with; None for none.
        tokenizer: The embedded model whose tokenizer alone is used; None for none.
        tail: Rows end with up to this number of further blocks of end-of-text.
        history: How the published run differed from the recipe, for the card.
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

    def __post_init__(self) -> None:
        if not self.stages:
            raise UserError("A recipe needs at least one stage.")
        for name in ("tokens", "block_length", "tokenizer_examples"):
            _whole(f"{name} of a recipe", getattr(self, name))
        if self.family not in FAMILIES:
            raise UserError(
                f"family of a recipe must be one of {', '.join(FAMILIES)}, not {self.family!r}."
            )
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise UserError(f"tasks of a recipe must be different ones, not {self.tasks!r}.")
        if unknown := [name for name in self.tasks if name not in tasks.embedded()]:
            raise UserError(
                f"tasks of a recipe must be among {', '.join(tasks.embedded())}, not"
                f" {', '.join(unknown)}."
            )
        for stage in self.stages:
            if stage.mixture is not None and len(stage.mixture) != len(self.tasks):
                raise UserError(
                    f"mixture of stage {stage.name!r} must have one number for each of"
                    f" {', '.join(self.tasks)}, not {stage.mixture!r}."
                )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name} must be a whole number of at least 1, not {value!r}.")
