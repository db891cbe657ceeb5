"""The policies that PSD's baselines need: a fixed number of positions a step, or a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from psd_lib.core.checks import at_least, probability
from psd_lib.core.described import option
from psd_lib.core.scores import Scores, order
from psd_lib.core.strategy import Policy


def best(values: Tensor, masked: Tensor) -> Tensor:
    """Return the single best masked position, bool `[..., W]`; ties go to the lowest position.

    All False where nothing is masked.
    """
    return (order(values, masked) == 0) & masked


@dataclass(frozen=True)
class TopK(Policy):
    """Commit the `k` most confident masked positions; with `k` = 1 this is greedy decoding.

    Example, k = 2::

        confidence  [[.2, .9, .9, .5], [.1, .4, .3, .8]]
        masked      [[ 1,  1,  1,  1], [ 1,  0,  0,  0]]
        commit      [[ 0,  1,  1,  0], [ 1,  0,  0,  0]]
    """

    k: int = option("positions per step", 1)
    name: ClassVar[str] = "top_k"
    title: ClassVar[str] = "top-k"
    source: ClassVar[str] = "k tokens per step"

    def __post_init__(self) -> None:
        at_least("k", self.k, 1)

    @property
    def max_commits(self) -> int | None:
        """Return k."""
        return self.k

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the first k ranks by confidence, or all that are left."""
        return (order(scores.confidence, masked) < self.k) & masked


@dataclass(frozen=True)
class Threshold(Policy):
    """Commit every masked position with confidence >= `threshold`, and the best one always.

    Fast-dLLM, arXiv 2505.22618.

    Example, threshold 0.9::

        confidence  [[.2, .9, .95, .5], [.1, .4, .3, .8]]
        masked      [[ 1,  1,   1,  1], [ 1,  1,  1,  0]]
        commit      [[ 0,  1,   1,  0], [ 0,  1,  0,  0]]
    """

    threshold: float = option("confidence from which a position is committed", 0.9)
    name: ClassVar[str] = "confidence"
    title: ClassVar[str] = "confidence"
    source: ClassVar[str] = "Fast-dLLM, arXiv 2505.22618"

    def __post_init__(self) -> None:
        probability("threshold", self.threshold)

    @property
    def bar(self) -> float:
        """Return the threshold."""
        return self.threshold

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the confident positions, plus the best one."""
        return (scores.confidence >= self.threshold) & masked | best(scores.confidence, masked)
