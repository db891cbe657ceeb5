"""Policies that take every position that is good enough, by confidence, margin or entropy, and the
best one always.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

from torch import Tensor

from psd_lib.decoding.checks import probability
from psd_lib.decoding.policies.base import ByConfidence, best
from psd_lib.decoding.scores import Scores
from psd_lib.errors import UserError


@dataclass(frozen=True)
class Threshold(ByConfidence):
    """Commit every masked position with confidence >= `threshold`, and the best one always
    (Fast-dLLM, arXiv 2505.22618).

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
class Margin:
    """Commit every masked position whose two best tokens are `threshold` apart in probability, and
    the best one always.

    The threshold rule of Fast-dLLM with the margin p(1st) - p(2nd) as its score, as Dream's
    `topk_margin` ranks by. No default is published for it; 0.8 is ours.

    Example, threshold 0.8::

        margin  [[.2, .8, .85, .5], [.1, .4, .3, .9]]
        masked  [[ 1,  1,   1,  1], [ 1,  1,  1,  0]]
        commit  [[ 0,  1,   1,  0], [ 0,  1,  0,  0]]
    """

    threshold: float = 0.8
    name: ClassVar[str] = "margin"
    needs_detail: ClassVar[bool] = True

    def __post_init__(self):
        probability("threshold", self.threshold)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Clear positions, plus the clearest one."""
        return (scores.margin >= self.threshold) & masked | best(scores.margin, masked)

    def priority(self, scores: Scores) -> Tensor:
        """Clear positions first."""
        return scores.margin

    @property
    def label(self) -> str:
        """`margin 0.8`."""
        return f"margin {self.threshold:g}"


class ByEntropy:
    """Shared by the policies that take certain positions first."""

    needs_detail: ClassVar[bool] = True

    def priority(self, scores: Scores) -> Tensor:
        """Positions are expected in ascending order of entropy."""
        return -scores.entropy


@dataclass(frozen=True)
class Entropy(ByEntropy):
    """Commit every masked position with entropy <= `most` nats, and the most certain one always
    (d3LLM, dParallel: code).

    Example, most 0.5::

        entropy  [[1.2, .5, .1, .9], [2.0, 1.4, 1.6, .1]]
        masked   [[  1,  1,  1,  1], [  1,   1,   1,  0]]
        commit   [[  0,  1,  1,  0], [  0,   1,   0,  0]]
    """

    most: float = 0.5
    name: ClassVar[str] = "entropy"

    def __post_init__(self):
        nats("most", self.most)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Certain positions, plus the most certain one."""
        return (scores.entropy <= self.most) & masked | best(-scores.entropy, masked)

    @property
    def label(self) -> str:
        """`entropy 0.5`."""
        return f"entropy {self.most:g}"


def nats(name: str, value) -> None:
    """Raise UserError unless `value` is a number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not value >= 0:
        raise UserError(f"{name} must be a number of at least 0, got {value!r}.")
