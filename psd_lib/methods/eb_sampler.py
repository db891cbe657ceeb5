"""EB-Sampler (arXiv 2505.24857): commit while the summed entropy stays below a bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.core.checks import non_negative
from psd_lib.core.described import option
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores, order
from psd_lib.methods.entropy import EntropyPolicy


@register
@dataclass(frozen=True)
class EntropyBound(EntropyPolicy):
    """Commit the longest prefix by ascending entropy whose sum without its largest is <= `bound`.

    In sglang's form: ordered by entropy, the sum without the largest is the sum of all that come
    before the last, so a position is committed when the entropies of the better ones sum to at most
    `bound` nats. Other codes include the candidate in the sum, which is one term stricter.

    Example, bound 0.15 (sums before each, first row: .16, 0, .05, .46)::

        entropy  [[.3, .05, .11, .9], [.2, .1, .1, .4]]
        masked   [[ 1,   1,   1,  1], [ 1,  1,  1,  0]]
        commit   [[ 0,   1,   1,  0], [ 0,  1,  1,  0]]
    """

    bound: float = option("bound on the summed entropy, in nats", 0.15)
    name: ClassVar[str] = "entropy_bound"
    title: ClassVar[str] = "entropy bound"
    source: ClassVar[str] = "EB-Sampler, arXiv 2505.24857, as in sglang"

    def __post_init__(self) -> None:
        non_negative("bound", self.bound)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return everything whose predecessors in the ranking fit into the bound."""
        uncertain = self.entropy_of(scores)
        rank = order(-uncertain, masked)
        entropy = uncertain.masked_fill(~masked, 0.0)
        ranked = torch.zeros_like(entropy).scatter(-1, rank, entropy)
        before = (ranked.cumsum(-1) - ranked).gather(-1, rank)
        return ((rank == 0) | (before <= self.bound)) & masked
