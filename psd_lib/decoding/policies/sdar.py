"""The three remasking rules of SDAR: a quota of positions a step, taken by confidence, by threshold
or from the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.checks import at_least, probability
from psd_lib.decoding.policies.base import ByConfidence
from psd_lib.decoding.policies.ranked import LeftToRight
from psd_lib.decoding.scores import Scores, order


def quota(masked: Tensor, steps: int | None) -> Tensor:
    """How many positions the step commits that has `masked` `[..., W]` left of a block of W, int64
    `[..., 1]`.

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


@dataclass(frozen=True)
class SdarStatic(ByConfidence):
    """Commit the quota's most confident masked positions (SDAR `low_confidence_static`, code of
    JetAstra/SDAR).

    `steps` denoising steps a block, None for one position a step; see `quota`.

    Example, steps 2 (quota 2)::

        confidence  [[.2, .9, .9, .5], [.1, .4, .3, .8]]
        masked      [[ 1,  1,  1,  1], [ 1,  0,  0,  0]]
        commit      [[ 0,  1,  1,  0], [ 1,  0,  0,  0]]
    """

    steps: int | None = None
    name: ClassVar[str] = "sdar_static"

    def __post_init__(self):
        if self.steps is not None:
            at_least("steps", self.steps, 1)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """The first ranks by confidence."""
        return (order(scores.confidence, masked) < quota(masked, self.steps)) & masked

    @property
    def label(self) -> str:
        """`SDAR static 4`."""
        return f"SDAR static{_steps(self.steps)}"


@dataclass(frozen=True)
class SdarDynamic(ByConfidence):
    """Commit what is above `threshold` if that fills the quota, else the quota's best (SDAR
    `low_confidence_dynamic`).

    Code of JetAstra/SDAR; strictly above, as there, so that threshold 1 is the static rule. With
    one position a step it is also the default of the vLLM plug-in and of sglang for LLaDA2.
    JetEngine's vectorised path falls back to the leftmost positions instead of the best.

    Example, threshold 0.9, steps 2 (quota 2)::

        confidence  [[.2, .95, .92, .91], [.1, .4, .95, .8]]
        masked      [[ 1,   1,   1,   1], [ 1,  1,   1,  1]]
        commit      [[ 0,   1,   1,   1], [ 0,  0,   1,  1]]
    """

    threshold: float = 0.9
    steps: int | None = None
    name: ClassVar[str] = "sdar_dynamic"

    def __post_init__(self):
        probability("threshold", self.threshold)
        if self.steps is not None:
            at_least("steps", self.steps, 1)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """The sure positions, or as many of the best as the quota says."""
        number = quota(masked, self.steps)
        sure = (scores.confidence > self.threshold) & masked
        ranked = (order(scores.confidence, masked) < number) & masked
        return torch.where(sure.sum(-1, keepdim=True) >= number, sure, ranked)

    @property
    def label(self) -> str:
        """`SDAR dynamic 0.9`."""
        return f"SDAR dynamic {self.threshold:g}{_steps(self.steps)}"


@dataclass(frozen=True)
class SdarSequential:
    """Commit the quota's leftmost masked positions (SDAR `sequential`, code of JetAstra/SDAR).

    Example, steps 2 (quota 2)::

        masked  [[0, 1, 1, 1], [0, 0, 0, 1]]
        commit  [[0, 1, 1, 0], [0, 0, 0, 1]]
    """

    steps: int | None = None
    name: ClassVar[str] = "sdar_sequential"

    def __post_init__(self):
        if self.steps is not None:
            at_least("steps", self.steps, 1)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """The leftmost masks."""
        return masked & (masked.cumsum(-1) <= quota(masked, self.steps))

    def priority(self, scores: Scores) -> Tensor:
        """Left before right."""
        return LeftToRight().priority(scores)

    @property
    def label(self) -> str:
        """`SDAR sequential 4`."""
        return f"SDAR sequential{_steps(self.steps)}"


def _steps(steps: int | None) -> str:
    return "" if steps is None else f" {steps} steps"
