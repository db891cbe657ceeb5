"""The threshold rule on the margin between the two best tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from psd_lib.core.checks import probability
from psd_lib.core.described import option
from psd_lib.core.policies import best
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores
from psd_lib.core.strategy import Needs, Policy


@register
@dataclass(frozen=True)
class Margin(Policy):
    """Commit every masked position whose two best tokens are `threshold` apart, and the best one.

    Fast-dLLM's threshold rule with the margin p(1st) - p(2nd) as its score, as Dream's
    `topk_margin` ranks by. No default is published for it; 0.8 is ours.

    Example, threshold 0.8::

        margin  [[.2, .8, .85, .5], [.1, .4, .3, .9]]
        masked  [[ 1,  1,   1,  1], [ 1,  1,  1,  0]]
        commit  [[ 0,  1,   1,  0], [ 0,  1,  0,  0]]
    """

    threshold: float = option("margin from which a position is committed", 0.8)
    name: ClassVar[str] = "margin"
    title: ClassVar[str] = "margin"
    source: ClassVar[str] = "the threshold rule on p(1st) - p(2nd)"

    def __post_init__(self) -> None:
        probability("threshold", self.threshold)

    @property
    def needs(self) -> Needs:
        """Ask for the margin."""
        return Needs(detail=True)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the clear positions, plus the clearest one."""
        margin = self.priority(scores)
        return (margin >= self.threshold) & masked | best(margin, masked)

    def priority(self, scores: Scores) -> Tensor:
        """Put clear positions first."""
        assert scores.margin is not None
        return scores.margin
