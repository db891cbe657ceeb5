"""Spiffy's drafts: a graph of formulas found by calibration, optionally pruned at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from psd_lib.core.batch import Batch
from psd_lib.core.checks import at_least
from psd_lib.core.described import option
from psd_lib.core.registry import register
from psd_lib.core.scores import order
from psd_lib.core.states import Drafts
from psd_lib.core.strategy import Drafter, Needs, Step
from psd_lib.errors import UserError
from psd_lib.methods.spiffy.drafts import instantiate
from psd_lib.methods.spiffy.files import load
from psd_lib.methods.spiffy.graph import CalibratedGraph, Graph


@register
@dataclass(frozen=True)
class Calibrated(Drafter):
    """Draft the first `depth` formulas of a calibrated graph, of which `keep` go into each call.

    Spiffy, arXiv 2509.18085. `graph` is the name of a graph file or a `CalibratedGraph`. `keep`
    None keeps all; else nodes are pruned at run time to the `keep` best (see `promise`). Exact
    under `replay` like every drafter: a graph changes the number of calls only.

    Example, formulas {(0, 0)}, {(0, 1)}, {(0, 0), (1, 0)}: best position's best token, its second
    best token, and the two best positions together; a state [7, _, _, 9] whose best position is 2::

        node 1  [7, _, 3, 9]   node 2  [7, _, 4, 9]   node 3  [7, 1, 3, 9]

    Raises:
        UserError: the graph was calibrated for another block length than the one in force.
    """

    graph: str | CalibratedGraph | None = option("name of a calibrated graph", None)
    depth: int = option("how many of its formulas are drafted, the best first", 7)
    keep: int | None = option("how many of them go into a call, None for all", None)
    name: ClassVar[str] = "calibrated"
    title: ClassVar[str] = "graph"

    def __post_init__(self) -> None:
        at_least("depth", self.depth, 0)
        if self.keep is not None:
            at_least("keep", self.keep, 1)

    @cached_property
    def calibrated(self) -> CalibratedGraph:
        """Return the graph itself, read from its file where a name was given."""
        return self.graph if isinstance(self.graph, CalibratedGraph) else load(self.graph).graph

    @cached_property
    def formulas(self) -> Graph:
        """Return the first `depth` formulas."""
        there = len(self.calibrated.graph)
        if self.depth > there:
            raise UserError(
                f"graph {self.calibrated.name!r} has {there} nodes, depth {self.depth} asks for "
                f"more; use depth={there} or less."
            )
        return self.calibrated.graph.first(self.depth)

    @property
    def needs(self) -> Needs:
        """Ask for as many best tokens as the formulas name."""
        return Needs(top_tokens=self.formulas.vocabulary)

    def start(self, batch: Batch) -> Drafter:
        """Check the block length."""
        wanted, width = self.calibrated.block_length, batch.canvas.width
        if width != wanted:
            raise UserError(
                f"graph {self.calibrated.name!r} was calibrated for block length {wanted}, not for "
                f"{width}: decode with block_length={wanted} or calibrate a graph for {width}."
            )
        return self

    def draft(self, step: Step) -> Drafts:
        """Return node 0 and the formulas that fit the masks left, N = depth + 1."""
        graph = self.formulas
        rank = order(step.policy.priority(step.scores), step.masked)
        tokens, chance = step.scores.best(graph.vocabulary)
        drafts = instantiate(graph, step.node0, step.masked, rank, tokens)
        if self.keep is None or self.keep >= len(graph):
            return drafts
        value = promise(graph, rank, chance, drafts.valid)
        kept = (order(value, drafts.valid[:, 1:]) < self.keep) & drafts.valid[:, 1:]
        return Drafts(drafts.tokens, torch.cat([drafts.valid[:, :1], kept], 1), drafts.level)

    def describe(self) -> dict[str, Any]:
        """Return name and content of the graph instead of its formulas."""
        graph = {"graph": self.calibrated.name, "digest": self.calibrated.digest}
        return {"name": self.name, **graph, "depth": self.depth, "keep": self.keep}

    @classmethod
    def from_description(cls, options: Mapping[str, Any]) -> Self:
        """Return the drafter.

        Raises:
            UserError: the graph of that name has another content today.
        """
        digest = options.get("digest")
        found = super().from_description({k: v for k, v in options.items() if k != "digest"})
        if digest is not None and found.calibrated.digest != digest:
            raise UserError(
                f"graph {found.calibrated.name!r} has content {found.calibrated.digest}, the "
                f"configuration was written for {digest}; restore that graph's file."
            )
        return found

    @property
    def label(self) -> str:
        """Return `graph d=7`, with `keep` where nodes are pruned."""
        return f"graph d={self.depth}" + ("" if self.keep is None else f" keep={self.keep}")


def promise(graph: Graph, rank: Tensor, chance: Tensor, valid: Tensor) -> Tensor:
    """Return Spiffy's run-time score (v4) of each formula, log scale, `[S, N - 1]`.

    Higher is better. A node's own score is the geometric mean of its pairs' probabilities `chance`
    `[S, W, R]`; its final score is the geometric mean of its own and its best child's final score,
    leaves keep their own. That the best child counts, and not the mean of all, is our reading.
    `valid` bool `[S, N]`: nodes that do not exist are left out.

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
    """Return the share of each pair in its formula, the child relation, and the levels.

    `[N - 1, P, R]`, bool `[N - 1, N - 1]` and `[N - 1]`.
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
