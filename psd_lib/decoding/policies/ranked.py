"""Policies that take a fixed number of positions a step: the most confident ones, or the leftmost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.checks import at_least
from psd_lib.decoding.policies.base import ByConfidence
from psd_lib.decoding.scores import Scores, order


@dataclass(frozen=True)
class TopK(ByConfidence):
    """Commit the `k` most confident masked positions; `k` = 1 is the greedy reference of all
    papers.

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
class LeftToRight:
    """Commit the first `k` masked positions, whatever the model says: an order that does not depend
    on the scores.

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
        return (
            -torch.arange(width, device=scores.confidence.device)
            .float()
            .expand_as(scores.confidence)
        )

    @property
    def label(self) -> str:
        """`left-to-right 1`."""
        return f"left-to-right {self.k}"
