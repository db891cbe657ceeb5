"""Fast-dLLM's factor rule (arXiv 2505.22618); its threshold rule is `psd_lib.core.Threshold`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from psd_lib.core.checks import non_negative
from psd_lib.core.described import option
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores, order
from psd_lib.core.strategy import Policy


@register
@dataclass(frozen=True)
class Factor(Policy):
    """Commit the n most confident positions while (n + 1) * (1 - their confidence) <= `factor`.

    Fast-dLLM, Theorem 1: with every selected confidence above 1 - e and (n + 1) e <= 1, the product
    of the marginals' argmaxes is the joint's. The j-th best (j >= 2) needs confidence >= 1 - factor
    / (j + 1), a bound that rises with j while confidences fall, so the committed positions are a
    prefix of the ranking; the first always passes. Public codes disagree in corner cases (the
    official loop also takes the last candidate when it alone fails); this is the strict rule.

    Example, factor 1 (bounds of ranks 2, 3, 4: .667, .75, .8)::

        confidence  [[.9, .7, .74, .99], [.1, .6, .66, .3]]
        masked      [[ 1,  1,   1,   1], [ 1,  1,   1,  1]]
        commit      [[ 1,  0,   0,   1], [ 0,  0,   1,  0]]
    """

    factor: float = option("bound on (n + 1) times the n-th position's doubt", 1.0)
    name: ClassVar[str] = "factor"
    title: ClassVar[str] = "factor"
    source: ClassVar[str] = "Fast-dLLM's factor rule, arXiv 2505.22618"

    def __post_init__(self) -> None:
        non_negative("factor", self.factor)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the longest prefix of the ranking that keeps the bound."""
        rank = order(scores.confidence, masked)
        return ((rank == 0) | (scores.confidence >= 1 - self.factor / (rank + 2))) & masked
