"""How a draft graph becomes drafts: formulas filled with positions and tokens."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from psd_lib.core.scores import order
from psd_lib.core.states import Drafts
from psd_lib.core.strategy import Drafter, Step
from psd_lib.methods.spiffy.graph import Graph


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
    """Return a graph as tensors.

    The vocabulary rank by node and position rank (-1: not in the formula), how many masks each node
    needs, and its level.
    """
    table = torch.full((len(graph) + 1, graph.positions + 1), -1)
    for node, formula in enumerate(graph.formulas, 1):
        for position, token in formula:
            table[node, position] = token
    ranks = torch.arange(1, graph.positions + 2)
    needed = torch.where(table >= 0, ranks, 0).amax(-1)
    return table.to(device), needed.to(device), torch.tensor(graph.levels).to(device)


class BestTokens(Drafter):
    """A drafter whose graph holds each position's proposed token only, vocabulary rank 0."""

    @property
    def graph(self) -> Graph:
        """Return the formulas."""
        raise NotImplementedError

    def draft(self, step: Step) -> Drafts:
        """Return node 0 and the nodes that fit the masks left, in the policy's own order."""
        rank = order(step.policy.priority(step.scores), step.masked)
        return instantiate(self.graph, step.node0, step.masked, rank, step.scores.token[..., None])

    @property
    def label(self) -> str:
        """Return title and depth, such as `order-swap d=7`."""
        return f"{self.title} d={self.depth}"
