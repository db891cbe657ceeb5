"""Order-swap drafts (ours): both orders of two commits find their way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import ClassVar

from psd_lib.core.checks import at_least
from psd_lib.core.described import option
from psd_lib.core.registry import register
from psd_lib.errors import UserError
from psd_lib.methods.spiffy.drafts import BestTokens
from psd_lib.methods.spiffy.graph import Graph, best_tokens_of

MOST_SPAN = 16  # 2 ** 16 subsets are sorted in a fraction of a second


@lru_cache(maxsize=64)
def order_swap(count: int, span: int = 6) -> Graph:
    """Return the `count` cheapest subsets of the best `span` position ranks (ours).

    With them two commit orders of the same tokens both fit. A subset costs 1.3 for each better rank
    that it skips (ranks before its worst member that it lacks) and 0.7 for each member; ties go to
    the smaller, then to the better ranked subset. `count` is at most 2^span - 1.

    Raises:
        UserError: `count` is larger.

    Example: ``order_swap(4, 3)`` is {0}, {0, 1}, {1}, {0, 1, 2}, costs 0.7, 1.4, 2.0, 2.1.
    """
    subsets = [subset for size in range(1, span + 1) for subset in combinations(range(span), size)]
    if count > len(subsets):
        raise UserError(
            f"an order-swap graph over {span} position ranks has at most {len(subsets)} nodes, not"
            f" {count}; raise span."
        )
    # in tenths, so that equal costs are equal
    subsets.sort(
        key=lambda subset: (
            13 * (subset[-1] + 1 - len(subset)) + 7 * len(subset),
            len(subset),
            subset,
        )
    )
    return Graph(tuple(map(best_tokens_of, subsets[:count])))


@register
@dataclass(frozen=True)
class OrderSwap(BestTokens):
    """Draft the `depth` cheapest subsets of the best `span` positions.

    `depth` counts guessed states, as a chain's does: a call has at most depth + 1 rows. The shape
    is `order_swap`.

    Example, depth 3, best positions 2, then 3, then 1, `_` masked::

        node 0  [7, _, _, _]   stale token [., 1, 2, 3]
        nodes   [7, _, 2, _]  [7, _, 2, 3]  [7, _, _, 3]
    """

    depth: int = option("guessed states above the policy's step", 7)
    span: int = option("best positions that subsets are made of", 6)
    name: ClassVar[str] = "order_swap"
    title: ClassVar[str] = "order-swap"
    source: ClassVar[str] = "ours"

    def __post_init__(self) -> None:
        at_least("depth", self.depth, 0)
        at_least("span", self.span, 1, MOST_SPAN)
        order_swap(self.depth, self.span)

    @property
    def graph(self) -> Graph:
        """Return the formulas."""
        return order_swap(self.depth, self.span)
