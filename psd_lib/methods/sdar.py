"""SDAR's three remasking rules: a quota of positions a step, by confidence, threshold or place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.core.checks import at_least, probability
from psd_lib.core.described import option
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores, order
from psd_lib.core.strategy import Policy
from psd_lib.methods.left_to_right import left_first


def quota(masked: Tensor, steps: int | None) -> Tensor:
    """Return how many positions a step commits, given `masked` `[..., W]`; int64 `[..., 1]`.

    W is split over `steps` as evenly as possible, the remainder going to the first steps; None is
    one step per position. SDAR counts steps; we read the step off the number of decided positions,
    so that the rule depends on the state alone and can be replayed. Both are the same where every
    step commits its quota.

    Example, W 4, steps 3, quotas 2 1 1::

        masked  [[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]
        quota   [[2],          [2],          [1],          [1]         ]
    """
    width = masked.shape[-1]
    size, extra = divmod(width, steps or width)
    sizes = size + (torch.arange(steps or width, device=masked.device) < extra).long()
    decided = width - masked.sum(-1, keepdim=True)
    step = (decided >= sizes.cumsum(-1)).sum(-1, keepdim=True)
    return sizes[step.clamp(max=len(sizes) - 1)].clamp(min=1)


def _steps(steps: int | None) -> str:
    return "" if steps is None else f" {steps} steps"


@register
@dataclass(frozen=True)
class SdarStatic(Policy):
    """Commit the quota's most confident masked positions.

    SDAR `low_confidence_static`, code of JetAstra/SDAR. `steps` denoising steps a block, None for
    one position a step; see `quota`.

    Example, steps 2 (quota 2)::

        confidence  [[.2, .9, .9, .5], [.1, .4, .3, .8]]
        masked      [[ 1,  1,  1,  1], [ 1,  0,  0,  0]]
        commit      [[ 0,  1,  1,  0], [ 1,  0,  0,  0]]
    """

    steps: int | None = option("denoising steps per block, None for one per position", None)
    name: ClassVar[str] = "sdar_static"
    title: ClassVar[str] = "SDAR static"
    source: ClassVar[str] = "SDAR, its code"

    def __post_init__(self) -> None:
        if self.steps is not None:
            at_least("steps", self.steps, 1)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the first ranks by confidence."""
        return (order(scores.confidence, masked) < quota(masked, self.steps)) & masked

    @property
    def label(self) -> str:
        """Return a text such as `SDAR static 4`."""
        return f"SDAR static{_steps(self.steps)}"


@register
@dataclass(frozen=True)
class SdarDynamic(Policy):
    """Commit what is above `threshold` if that fills the quota, else the quota's best.

    SDAR `low_confidence_dynamic`, code of JetAstra/SDAR; strictly above, as there, so that
    threshold 1 is the static rule. With one position a step it is also the default of the vLLM
    plug-in and of sglang for LLaDA2. JetEngine's vectorised path falls back to the leftmost
    positions instead of the best.

    Example, threshold 0.9, steps 2 (quota 2)::

        confidence  [[.2, .95, .92, .91], [.1, .4, .95, .8]]
        masked      [[ 1,   1,   1,   1], [ 1,  1,   1,  1]]
        commit      [[ 0,   1,   1,   1], [ 0,  0,   1,  1]]
    """

    threshold: float = option("confidence above which a position is committed", 0.9)
    steps: int | None = option("denoising steps per block, None for one per position", None)
    name: ClassVar[str] = "sdar_dynamic"
    title: ClassVar[str] = "SDAR dynamic"
    source: ClassVar[str] = "SDAR, its code"

    def __post_init__(self) -> None:
        probability("threshold", self.threshold)
        if self.steps is not None:
            at_least("steps", self.steps, 1)

    @property
    def bar(self) -> float:
        """Return the threshold."""
        return self.threshold

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the sure positions, or as many of the best as the quota says."""
        number = quota(masked, self.steps)
        sure = (scores.confidence > self.threshold) & masked
        ranked = (order(scores.confidence, masked) < number) & masked
        return torch.where(sure.sum(-1, keepdim=True) >= number, sure, ranked)

    @property
    def label(self) -> str:
        """Return a text such as `SDAR dynamic 0.9`."""
        return f"SDAR dynamic {self.threshold:g}{_steps(self.steps)}"


@register
@dataclass(frozen=True)
class SdarSequential(Policy):
    """Commit the quota's leftmost masked positions (SDAR `sequential`, code of JetAstra/SDAR).

    Example, steps 2 (quota 2)::

        masked  [[0, 1, 1, 1], [0, 0, 0, 1]]
        commit  [[0, 1, 1, 0], [0, 0, 0, 1]]
    """

    steps: int | None = option("denoising steps per block, None for one per position", None)
    name: ClassVar[str] = "sdar_sequential"
    title: ClassVar[str] = "SDAR sequential"
    source: ClassVar[str] = "SDAR, its code"

    def __post_init__(self) -> None:
        if self.steps is not None:
            at_least("steps", self.steps, 1)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the leftmost masks."""
        return masked & (masked.cumsum(-1) <= quota(masked, self.steps))

    def priority(self, scores: Scores) -> Tensor:
        """Put left before right."""
        return left_first(scores.confidence)

    @property
    def label(self) -> str:
        """Return a text such as `SDAR sequential 4`."""
        return f"SDAR sequential{_steps(self.steps)}"
