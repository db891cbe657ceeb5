"""Policies that look at where positions lie: near a confident one (LocalLeap), or in which stretch
of masks (hierarchy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from psd_lib.decoding.checks import at_least, probability
from psd_lib.decoding.policies.base import ByConfidence, best
from psd_lib.decoding.scores import Scores


@dataclass(frozen=True)
class LocalLeap(ByConfidence):
    """Relax the threshold next to confident positions (LocalLeap, arXiv 2510.07081; rule as in its
    public script).

    Anchors are the positions that are masked now and have confidence >= `threshold`. Within
    `radius` of an anchor positions are committed at >= `relaxed_threshold`, elsewhere at >=
    `threshold`; the best one is committed always.

    Example, radius 1, thresholds 0.9 / 0.75::

        confidence  [[.8, .8, .9, .8], [.8, .5, .6, .7]]
        masked      [[ 1,  1,  1,  1], [ 1,  1,  1,  1]]
        commit      [[ 0,  1,  1,  1], [ 1,  0,  0,  0]]
    """

    threshold: float = 0.9
    relaxed_threshold: float = 0.75
    radius: int = 4
    name: ClassVar[str] = "local_leap"

    def __post_init__(self):
        probability("threshold", self.threshold)
        probability("relaxed_threshold", self.relaxed_threshold)
        at_least("radius", self.radius, 0)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Anchors, their relaxed neighbourhood, and the best position."""
        anchors = (scores.confidence >= self.threshold) & masked
        width = 2 * self.radius + 1
        flat = anchors.reshape(-1, 1, anchors.shape[-1]).float()
        near = F.max_pool1d(flat, width, stride=1, padding=self.radius).reshape(anchors.shape) > 0
        relaxed = near & (scores.confidence >= self.relaxed_threshold) & masked
        return anchors | relaxed | best(scores.confidence, masked)

    @property
    def label(self) -> str:
        """`LocalLeap 0.9/0.75/4`."""
        return f"LocalLeap {self.threshold:g}/{self.relaxed_threshold:g}/{self.radius}"


@dataclass(frozen=True)
class Hierarchy(ByConfidence):
    """Commit one position in every stretch of masks, so that stretches halve (hierarchical decoding
    of dInfer, its code).

    A run is a maximal stretch of neighbouring masked positions. Of each run the most confident
    position is committed when its confidence is above `relaxed_threshold` (ties: lowest position);
    so is every position above `threshold`, and the best one of the window always. Strictly above,
    as in the source.

    Example, thresholds 0.9 / 0.4 (runs of the first row: 0-1 and 3; of the second: 1-3)::

        confidence  [[.5, .6, .2, .45], [.9, .3, .95, .92]]
        masked      [[ 1,  1,  0,   1], [ 0,  1,   1,   1]]
        commit      [[ 0,  1,  0,   1], [ 0,  0,   1,   1]]
    """

    threshold: float = 0.9
    relaxed_threshold: float = 0.4
    name: ClassVar[str] = "hierarchy"

    def __post_init__(self):
        probability("threshold", self.threshold)
        probability("relaxed_threshold", self.relaxed_threshold)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """The best of each run, everything confident, and the best position."""
        sure = (scores.confidence > self.threshold) & masked
        leader = first_of_run(scores.confidence, masked) & (
            scores.confidence > self.relaxed_threshold
        )
        return sure | leader | best(scores.confidence, masked)

    @property
    def label(self) -> str:
        """`hierarchy 0.9/0.4`."""
        return f"hierarchy {self.threshold:g}/{self.relaxed_threshold:g}"


def first_of_run(values: Tensor, masked: Tensor) -> Tensor:
    """The best position of each maximal stretch of masked positions, bool `[..., W]`; ties: lowest
    position.
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
