"""Hierarchical decoding (dInfer, its code): one position of every stretch of masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from psd_lib.core.checks import probability
from psd_lib.core.described import option
from psd_lib.core.policies import best
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores
from psd_lib.core.strategy import Policy


def first_of_run(values: Tensor, masked: Tensor) -> Tensor:
    """Return the best position of each maximal stretch of masks, bool `[..., W]`.

    Ties go to the lowest position.
    """
    position = torch.arange(masked.shape[-1], device=masked.device)
    starts = masked & ~F.pad(masked, (1, 0))[..., :-1]
    run = starts.cumsum(
        -1
    )  # 0 before the first run; unmasked positions carry the run on their left, but never lead it
    floor = torch.full_like(values, float("-inf"))
    floor = F.pad(floor, (0, 1))
    top = floor.scatter_reduce(-1, run, values.masked_fill(~masked, float("-inf")), "amax").gather(
        -1, run
    )
    leads = masked & (values == top)
    last = torch.full(floor.shape, masked.shape[-1], device=masked.device)
    where = torch.where(leads, position, masked.shape[-1])
    return leads & (position == last.scatter_reduce(-1, run, where, "amin").gather(-1, run))


@register
@dataclass(frozen=True)
class Hierarchy(Policy):
    """Commit one position in every stretch of masks, so that stretches halve.

    A run is a maximal stretch of neighbouring masked positions. Of each run the most confident
    position is committed when its confidence is above `relaxed_threshold` (ties: lowest position);
    so is every position above `threshold`, and the best one of the window always. Strictly above,
    as in the source.

    Example, thresholds 0.9 / 0.4 (runs of the first row: 0-1 and 3; of the second: 1-3)::

        confidence  [[.5, .6, .2, .45], [.9, .3, .95, .92]]
        masked      [[ 1,  1,  0,   1], [ 0,  1,   1,   1]]
        commit      [[ 0,  1,  0,   1], [ 0,  0,   1,   1]]
    """

    threshold: float = option("confidence above which a position is committed", 0.9)
    relaxed_threshold: float = option("confidence above which a run's best is committed", 0.4)
    name: ClassVar[str] = "hierarchy"
    title: ClassVar[str] = "hierarchy"
    source: ClassVar[str] = "hierarchical decoding of dInfer, its code"

    def __post_init__(self) -> None:
        probability("threshold", self.threshold)
        probability("relaxed_threshold", self.relaxed_threshold)

    @property
    def bar(self) -> float:
        """Return the threshold."""
        return self.threshold

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the best of each run, everything confident, and the best position."""
        sure = (scores.confidence > self.threshold) & masked
        leader = first_of_run(scores.confidence, masked) & (
            scores.confidence > self.relaxed_threshold
        )
        return sure | leader | best(scores.confidence, masked)
