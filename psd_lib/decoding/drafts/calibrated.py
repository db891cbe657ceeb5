"""Spiffy's drafts: a graph of formulas found by calibration, optionally pruned at run time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.alternatives import Ranked
from psd_lib.decoding.checks import at_least
from psd_lib.decoding.drafts.base import Drafts
from psd_lib.decoding.drafts.graph import instantiate
from psd_lib.decoding.graphs import Graph, Measured
from psd_lib.decoding.policies import Policy
from psd_lib.decoding.scores import Scores, order
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.decoding.loop import Loop


@dataclass(frozen=True)
class Calibrated:
    """The first `depth` formulas of a calibrated graph (Spiffy, arXiv 2509.18085), of which `keep`
    go into each call.

    `graph` is the name of a graph file (`psd_lab.calibration`) or a `Measured` graph. `keep` None
    keeps all; else nodes are pruned at run time to the `keep` best (see `promise`). Exact under
    `replay` like every builder: a graph changes the number of calls only. Raises UserError when the
    graph was calibrated for another block length than the one in force.

    Example, formulas {(0, 0)}, {(0, 1)}, {(0, 0), (1, 0)}: best position's best token, its second
    best token, and the two best positions together; a state [7, _, _, 9] whose best position is 2::

        node 1  [7, _, 3, 9]   node 2  [7, _, 4, 9]   node 3  [7, 1, 3, 9]
    """

    graph: str | Measured | None = None
    depth: int = 7
    keep: int | None = None
    name: ClassVar[str] = "calibrated"

    def __post_init__(self):
        at_least("depth", self.depth, 0)
        if self.keep is not None:
            at_least("keep", self.keep, 1)

    @cached_property
    def measured(self) -> Measured:
        """The graph itself, read from its file where a name was given."""
        if isinstance(self.graph, Measured):
            return self.graph
        from psd_lib.decoding.graph_files import load

        return load(self.graph).measured

    @cached_property
    def formulas(self) -> Graph:
        """The first `depth` formulas."""
        if self.depth > len(self.measured.graph):
            raise UserError(
                f"graph {self.measured.name!r} has {len(self.measured.graph)} nodes, depth"
                f" {self.depth} asks for more; use depth={len(self.measured.graph)} or less."
            )
        return self.measured.graph.first(self.depth)

    def begin(self, loop: Loop) -> BoundCalibrated:
        """Check the block length; where formulas name other tokens than the best, the session has
        to note them.
        """
        if loop.canvas.width != self.measured.block_length:
            raise UserError(
                f"graph {self.measured.name!r} was calibrated for block length"
                f" {self.measured.block_length}, not for {loop.canvas.width}: decode with"
                f" block_length={self.measured.block_length} or calibrate a graph for"
                f" {loop.canvas.width}."
            )
        if self.formulas.vocabulary == 1:
            return BoundCalibrated(self, None)
        loop.session = Ranked(loop.session, loop.denoiser, loop.canvas, self.formulas.vocabulary)
        return BoundCalibrated(self, loop.session)

    def describe(self) -> dict[str, str | int | None]:
        """Name and content of the graph instead of its formulas."""
        return {
            "graph": self.measured.name,
            "digest": self.measured.digest,
            "depth": self.depth,
            "keep": self.keep,
        }

    @property
    def label(self) -> str:
        """`graph d=7`, with `keep` where nodes are pruned."""
        return f"graph d={self.depth}" + ("" if self.keep is None else f" keep={self.keep}")


class BoundCalibrated:
    """`Calibrated` on one batch."""

    def __init__(self, plug: Calibrated, session: Ranked | None):
        self.plug, self.session = plug, session

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """Node 0 and the formulas that fit the masks left, N = depth + 1."""
        graph = self.plug.formulas
        rank = order(policy.priority(stale), masked)
        if self.session is None:
            tokens, chance = stale.token[..., None], stale.confidence[..., None]
        else:
            tokens, chance = self.session.ranked(stale)
        drafts = instantiate(graph, node0, masked, rank, tokens)
        if self.plug.keep is None or self.plug.keep >= len(graph):
            return drafts
        value = promise(graph, rank, chance, drafts.valid)
        kept = (order(value, drafts.valid[:, 1:]) < self.plug.keep) & drafts.valid[:, 1:]
        return Drafts(drafts.tokens, torch.cat([drafts.valid[:, :1], kept], 1), drafts.level)


def promise(graph: Graph, rank: Tensor, chance: Tensor, valid: Tensor) -> Tensor:
    """How promising each formula is, log scale, `[S, N - 1]`: Spiffy's run-time score (v4), higher
    is better.

    A node's own score is the geometric mean of its pairs' probabilities `chance` `[S, W, R]`; its
    final score is the geometric mean of its own and its best child's final score, leaves keep their
    own. That the best child counts, and not the mean of all, is our reading. `valid` bool `[S, N]`:
    nodes that do not exist count for nobody.

    Example, formulas {0}, {1}, {0, 1} with probabilities .9 and .4: own .9, .4, .6; final .73, .49,
    .6.
    """
    weight, child, levels = _weights(graph, rank.device)
    width = min(graph.positions, rank.shape[1])
    best_first = rank.argsort(-1)[:, :width, None].expand(-1, -1, chance.shape[-1])
    logs = chance.gather(1, best_first).clamp(min=torch.finfo(torch.float32).tiny).log()
    value = torch.einsum("spr,npr->sn", logs, weight[:, :width, : chance.shape[-1]])
    value = value.masked_fill(~valid[:, 1:], float("-inf"))
    for level in reversed(range(1, max(graph.levels))):
        heir = value[:, None].masked_fill(~child, float("-inf")).amax(-1)
        inherited = torch.where(heir.isinf(), value, (value + heir) / 2)
        value = torch.where(levels == level, inherited, value)
    return value


@lru_cache(maxsize=64)
def _weights(graph: Graph, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Share of each pair in its formula `[N - 1, P, R]`, child relation bool `[N - 1, N - 1]`,
    levels `[N - 1]`.
    """
    weight = torch.zeros(len(graph), graph.positions, graph.vocabulary)
    child = torch.zeros(len(graph), len(graph), dtype=torch.bool)
    for node, formula in enumerate(graph.formulas):
        for position, token in formula:
            weight[node, position, token] = 1 / len(formula)
        for parent in graph.parents[node + 1]:
            if parent:
                child[parent - 1, node] = True
    return weight.to(device), child.to(device), torch.tensor(graph.levels[1:]).to(device)
