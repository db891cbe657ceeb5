"""Transfer policies, the spatial axis: which masked positions does one reference step commit?

A policy is a pure function of the window's scores and mask, vectorised over all leading dimensions. Every policy keeps
three promises (tested for each one): it commits masked positions only, at least one of them wherever any is left, and
breaks ties by the lowest position. To add one, write a frozen dataclass here and list it in `POLICIES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from psd_lib.decoding.checks import at_least, probability
from psd_lib.decoding.scores import Scores, order


class Policy(Protocol):
    """What the loop asks of a policy. `name` identifies it in configs and rows.

    A policy that reads margin or entropy sets `needs_detail = True`; otherwise these scores are not computed.
    """

    name: ClassVar[str]

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Positions to commit, bool `[..., W]`, a non-empty subset of `masked` `[..., W]` wherever that is not empty."""

    def priority(self, scores: Scores) -> Tensor:
        """How early each position is likely to be committed, float `[..., W]`, higher is earlier: orders the drafts."""

    @property
    def label(self) -> str:
        """Short text for tables and legends."""


class ByConfidence:
    """Shared by the policies that take confident positions first."""

    def priority(self, scores: Scores) -> Tensor:
        """Positions are expected in descending order of confidence."""
        return scores.confidence


def best(values: Tensor, masked: Tensor) -> Tensor:
    """The single best masked position, bool `[..., W]`, all False where nothing is masked; ties: lowest position."""
    return (order(values, masked) == 0) & masked


@dataclass(frozen=True)
class TopK(ByConfidence):
    """Commit the `k` most confident masked positions; `k` = 1 is the greedy reference of all papers.

    Example, k = 2::

        confidence  [[.2, .9, .9, .5], [.1, .4, .3, .8]]
        masked      [[ 1,  1,  1,  1], [ 1,  0,  0,  0]]
        commit      [[ 0,  1,  1,  0], [ 1,  0,  0,  0]]
    """

    k: int = 1
    name: ClassVar[str] = "top_k"

    def __post_init__(self):
        at_least("k", self.k, 1)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """The first k ranks by confidence, or all that are left."""
        return (order(scores.confidence, masked) < self.k) & masked

    @property
    def label(self) -> str:
        """`top-k 2`."""
        return f"top-k {self.k}"


@dataclass(frozen=True)
class Threshold(ByConfidence):
    """Commit every masked position with confidence >= `threshold`, and the best one always (Fast-dLLM, arXiv 2505.22618).

    Example, threshold 0.9::

        confidence  [[.2, .9, .95, .5], [.1, .4, .3, .8]]
        masked      [[ 1,  1,   1,  1], [ 1,  1,  1,  0]]
        commit      [[ 0,  1,   1,  0], [ 0,  1,  0,  0]]
    """

    threshold: float = 0.9
    name: ClassVar[str] = "confidence"

    def __post_init__(self):
        probability("threshold", self.threshold)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Confident positions, plus the best one."""
        return (scores.confidence >= self.threshold) & masked | best(scores.confidence, masked)

    @property
    def label(self) -> str:
        """`confidence 0.9`."""
        return f"confidence {self.threshold:g}"


@dataclass(frozen=True)
class LocalLeap(ByConfidence):
    """Relax the threshold next to confident positions (LocalLeap, arXiv 2510.07081; rule as in its public script).

    Anchors are the positions that are masked now and have confidence >= `threshold`. Within `radius` of an anchor
    positions are committed at >= `relaxed_threshold`, elsewhere at >= `threshold`; the best one is committed always.

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
class LeftToRight:
    """Commit the first `k` masked positions, whatever the model says: an order that does not depend on the scores.

    Example, k = 2::

        masked  [[0, 1, 1, 1], [0, 0, 0, 1]]
        commit  [[0, 1, 1, 0], [0, 0, 0, 1]]
    """

    k: int = 1
    name: ClassVar[str] = "left_to_right"

    def __post_init__(self):
        at_least("k", self.k, 1)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """The k leftmost masks."""
        return masked & (masked.cumsum(-1) <= self.k)

    def priority(self, scores: Scores) -> Tensor:
        """Left before right."""
        width = scores.confidence.shape[-1]
        return -torch.arange(width, device=scores.confidence.device).float().expand_as(scores.confidence)

    @property
    def label(self) -> str:
        """`left-to-right 1`."""
        return f"left-to-right {self.k}"


POLICIES: dict[str, type] = {policy.name: policy for policy in (TopK, Threshold, LocalLeap, LeftToRight)}
