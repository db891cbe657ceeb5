"""Policies that bound the joint error of what they commit in one step: the factor rule and the
entropy bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.policies.base import ByConfidence
from psd_lib.decoding.policies.thresholds import ByEntropy, nats
from psd_lib.decoding.scores import Scores, order


@dataclass(frozen=True)
class Factor(ByConfidence):
    """Commit the n most confident positions as long as (n + 1) * (1 - their confidence) <= `factor`
    (Fast-dLLM).

    Fast-dLLM, arXiv 2505.22618, Theorem 1: with every selected confidence above 1 - e and (n + 1) e
    <= 1, the product of the marginals' argmaxes is the joint's. The j-th best (j >= 2) needs
    confidence >= 1 - factor / (j + 1), a bound that rises with j while confidences fall, so the
    committed positions are a prefix of the ranking; the first always passes. Public codes disagree
    in corner cases (the official loop also takes the last candidate when it alone fails); this is
    the strict rule.

    Example, factor 1 (bounds of ranks 2, 3, 4: .667, .75, .8)::

        confidence  [[.9, .7, .74, .99], [.1, .6, .66, .3]]
        masked      [[ 1,  1,   1,   1], [ 1,  1,   1,  1]]
        commit      [[ 1,  0,   0,   1], [ 0,  0,   1,  0]]
    """

    factor: float = 1.0
    name: ClassVar[str] = "factor"

    def __post_init__(self):
        nats("factor", self.factor)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """The longest prefix of the ranking that keeps the bound."""
        rank = order(scores.confidence, masked)
        return ((rank == 0) | (scores.confidence >= 1 - self.factor / (rank + 2))) & masked

    @property
    def label(self) -> str:
        """`factor 1`."""
        return f"factor {self.factor:g}"


@dataclass(frozen=True)
class EntropyBound(ByEntropy):
    """Commit the longest prefix by ascending entropy whose sum without its largest stays <= `bound`
    nats (EB-Sampler).

    EB-Sampler, arXiv 2505.24857, in sglang's form: ordered by entropy, the sum without the largest
    is the sum of all that come before the last, so a position is committed when the entropies of
    the better ones sum to at most `bound`. Other codes include the candidate in the sum, which is
    one term stricter.

    Example, bound 0.15 (sums before each, first row: .16, 0, .05, .46)::

        entropy  [[.3, .05, .11, .9], [.2, .1, .1, .4]]
        masked   [[ 1,   1,   1,  1], [ 1,  1,  1,  0]]
        commit   [[ 0,   1,   1,  0], [ 0,  1,  1,  0]]
    """

    bound: float = 0.15
    name: ClassVar[str] = "entropy_bound"

    def __post_init__(self):
        nats("bound", self.bound)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Everything whose predecessors in the ranking fit into the bound."""
        rank = order(-scores.entropy, masked)
        entropy = scores.entropy.masked_fill(~masked, 0.0)
        ranked = torch.zeros_like(entropy).scatter(-1, rank, entropy)
        before = (ranked.cumsum(-1) - ranked).gather(-1, rank)
        return ((rank == 0) | (before <= self.bound)) & masked

    @property
    def label(self) -> str:
        """`entropy bound 0.15`."""
        return f"entropy bound {self.bound:g}"
