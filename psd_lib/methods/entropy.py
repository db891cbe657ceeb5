"""The threshold rule on entropy instead of confidence (d3LLM and dParallel, their code)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from psd_lib.core.checks import non_negative
from psd_lib.core.described import option
from psd_lib.core.policies import best
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores
from psd_lib.core.strategy import Needs, Policy


class EntropyPolicy(Policy):
    """What policies share that take positions with low entropy first."""

    @property
    def needs(self) -> Needs:
        """Ask for the entropy."""
        return Needs(detail=True)

    def priority(self, scores: Scores) -> Tensor:
        """Expect positions in ascending order of entropy."""
        return -self.entropy_of(scores)

    def entropy_of(self, scores: Scores) -> Tensor:
        """Return the entropies `[..., W]`, which `needs` has asked for."""
        assert scores.entropy is not None
        return scores.entropy


@register
@dataclass(frozen=True)
class Entropy(EntropyPolicy):
    """Commit every masked position with entropy <= `most` nats, and the most certain one always.

    Example, most 0.5::

        entropy  [[1.2, .5, .1, .9], [2.0, 1.4, 1.6, .1]]
        masked   [[  1,  1,  1,  1], [  1,   1,   1,  0]]
        commit   [[  0,  1,  1,  0], [  0,   1,   0,  0]]
    """

    most: float = option("entropy up to which a position is committed, in nats", 0.5)
    name: ClassVar[str] = "entropy"
    title: ClassVar[str] = "entropy"
    source: ClassVar[str] = "the threshold rule on entropy, as in d3LLM and dParallel"

    def __post_init__(self) -> None:
        non_negative("most", self.most)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the certain positions, plus the most certain one."""
        entropy = self.entropy_of(scores)
        return (entropy <= self.most) & masked | best(-entropy, masked)
