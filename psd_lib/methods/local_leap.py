"""LocalLeap (arXiv 2510.07081): a lower threshold near confident positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from psd_lib.core.checks import at_least, probability
from psd_lib.core.described import option
from psd_lib.core.policies import best
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores
from psd_lib.core.strategy import Policy


@register
@dataclass(frozen=True)
class LocalLeap(Policy):
    """Relax the threshold next to confident positions; rule as in LocalLeap's public script.

    Anchors are the positions that are masked now and have confidence >= `threshold`. Within
    `radius` of an anchor positions are committed at >= `relaxed_threshold`, elsewhere at >=
    `threshold`; the best one is committed always.

    Example, radius 1, thresholds 0.9 / 0.75::

        confidence  [[.8, .8, .9, .8], [.8, .5, .6, .7]]
        masked      [[ 1,  1,  1,  1], [ 1,  1,  1,  1]]
        commit      [[ 0,  1,  1,  1], [ 1,  0,  0,  0]]
    """

    threshold: float = option("confidence from which a position is an anchor", 0.9)
    relaxed_threshold: float = option("confidence from which a neighbour is committed", 0.75)
    radius: int = option("how far an anchor's neighbourhood reaches", 4)
    name: ClassVar[str] = "local_leap"
    title: ClassVar[str] = "LocalLeap"
    source: ClassVar[str] = "LocalLeap, arXiv 2510.07081"

    def __post_init__(self) -> None:
        probability("threshold", self.threshold)
        probability("relaxed_threshold", self.relaxed_threshold)
        at_least("radius", self.radius, 0)

    @property
    def bar(self) -> float:
        """Return the threshold."""
        return self.threshold

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return anchors, their relaxed neighbourhood, and the best position."""
        anchors = (scores.confidence >= self.threshold) & masked
        width = 2 * self.radius + 1
        flat = anchors.reshape(-1, 1, anchors.shape[-1]).float()
        near = F.max_pool1d(flat, width, stride=1, padding=self.radius).reshape(anchors.shape) > 0
        relaxed = near & (scores.confidence >= self.relaxed_threshold) & masked
        return anchors | relaxed | best(scores.confidence, masked)
