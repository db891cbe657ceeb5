"""A fixed order: from the left, whatever the model says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.core.checks import at_least
from psd_lib.core.described import option
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores
from psd_lib.core.strategy import Policy


def left_first(values: Tensor) -> Tensor:
    """Return a priority of the shape of `values` `[..., W]` that falls from left to right."""
    return -torch.arange(values.shape[-1], device=values.device).float().expand_as(values)


@register
@dataclass(frozen=True)
class LeftToRight(Policy):
    """Commit the first `k` masked positions, whatever the model says.

    Example, k = 2::

        masked  [[0, 1, 1, 1], [0, 0, 0, 1]]
        commit  [[0, 1, 1, 0], [0, 0, 0, 1]]
    """

    k: int = option("positions per step", 1)
    name: ClassVar[str] = "left_to_right"
    title: ClassVar[str] = "left-to-right"
    source: ClassVar[str] = "fixed order"
    fixed_order: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least("k", self.k, 1)

    @property
    def max_commits(self) -> int | None:
        """Return k."""
        return self.k

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the k leftmost masks."""
        return masked & (masked.cumsum(-1) <= self.k)

    def priority(self, scores: Scores) -> Tensor:
        """Put left before right."""
        return left_first(scores.confidence)
