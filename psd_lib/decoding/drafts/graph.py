"""Drafts from a graph of formulas: order-swap (ours), mix-order (SSD) and calibrated (Spiffy)
drafts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.checks import at_least
from psd_lib.decoding.drafts.base import Drafts
from psd_lib.decoding.graphs import Graph, mix_order, order_swap
from psd_lib.decoding.policies import Policy
from psd_lib.decoding.scores import Scores, order


def instantiate(
    graph: Graph, node0: Tensor, masked: Tensor, rank: Tensor, tokens: Tensor
) -> Drafts:
    """Fill a graph's formulas with positions and tokens, N = len(graph) + 1.

    `node0`, `masked` `[S, W]`; `rank` `[S, W]` position ranks of the masked positions; `tokens`
    `[S, W, R]` tokens by vocabulary rank, R at least `graph.vocabulary`. A node is valid where all
    its position ranks exist.

    Example, formulas {(0, 0)} and {(1, 1)}, `_` masked::

        node 0   [[7, _, _, 5], [7, 8, _, 5]]      rank [[., 1, 0, .], [., ., 0, .]]
        tokens   [[., 1 2, 3 4, .], [., ., 3 4, .]]
        node 1   [[7, _, 3, 5], [7, 8, 3, 5]]
        node 2   [[7, 2, _, 5], not valid   ]
    """
    table, needed, level = _table(graph, node0.device)
    which = table[:, rank.clamp(max=graph.positions)].transpose(0, 1)
    filled = (which >= 0) & masked[:, None]
    drafted = (
        tokens[:, None]
        .expand(-1, len(table), -1, -1)
        .gather(-1, which.clamp(min=0)[..., None])[..., 0]
    )
    valid = needed <= masked.sum(-1, keepdim=True)
    return Drafts(torch.where(filled, drafted, node0[:, None]), valid, level.expand_as(valid))


@lru_cache(maxsize=64)
def _table(graph: Graph, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Vocabulary rank by node and position rank (-1: not in the formula), masks that each node
    needs, its level.
    """
    table = torch.full((len(graph) + 1, graph.positions + 1), -1)
    for node, formula in enumerate(graph.formulas, 1):
        for position, token in formula:
            table[node, position] = token
    ranks = torch.arange(1, graph.positions + 2)
    needed = torch.where(table >= 0, ranks, 0).amax(-1)
    return table.to(device), needed.to(device), torch.tensor(graph.levels).to(device)


class BestTokens:
    """Shared by the builders whose graphs hold each position's proposed token only, vocabulary rank
    0.
    """

    graph: Graph

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """Node 0 and the graph's nodes that fit the masks left, ranked by the policy's own
        priority.
        """
        rank = order(policy.priority(stale), masked)
        return instantiate(self.graph, node0, masked, rank, stale.token[..., None])


@dataclass(frozen=True)
class OrderSwap(BestTokens):
    """The `depth` cheapest subsets of the best `span` positions, so that both orders of two commits
    find their way (ours).

    `depth` counts guessed states, as a chain's does: a call has at most depth + 1 rows. The shape
    is `psd_lib.decoding.graphs.order_swap`.

    Example, depth 3, best positions 2, then 3, then 1, `_` masked::

        node 0  [7, _, _, _]   stale token [., 1, 2, 3]
        nodes   [7, _, 2, _]  [7, _, 2, 3]  [7, _, _, 3]
    """

    depth: int = 7
    span: int = 6
    name: ClassVar[str] = "order_swap"

    def __post_init__(self):
        at_least("depth", self.depth, 0)
        at_least("span", self.span, 1)
        order_swap(self.depth, self.span)

    @cached_property
    def graph(self) -> Graph:
        """The formulas."""
        return order_swap(self.depth, self.span)

    @property
    def label(self) -> str:
        """`order-swap d=7`."""
        return f"order-swap d={self.depth}"


@dataclass(frozen=True)
class MixOrder(BestTokens):
    """SSD's mix-order tree (arXiv 2510.04147) of at most `depth` guessed states, reconstructed.

    Each level takes one of the `width` best remaining positions; see
    `psd_lib.decoding.graphs.mix_order`.
    """

    depth: int = 7
    width: int = 2
    name: ClassVar[str] = "mix_order"
    fidelity: ClassVar[str] = "reconstructed"
    note: ClassVar[str] = (
        "SSD publishes neither shape nor budget of its mix-order tree: ours takes one of the width"
        " best remaining positions per level and keeps the depth cheapest states at 1 per level and"
        " 2 per position passed over."
    )

    def __post_init__(self):
        at_least("depth", self.depth, 0)
        at_least("width", self.width, 1)

    @cached_property
    def graph(self) -> Graph:
        """The formulas."""
        return mix_order(self.depth, self.width)

    @property
    def label(self) -> str:
        """`mix-order d=7`."""
        return f"mix-order d={self.depth}"
