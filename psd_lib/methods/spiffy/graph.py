"""Draft graphs as data: which later states to guess, in ranks instead of tokens.

After Spiffy (arXiv 2509.18085). A formula is a set of (position rank, vocabulary rank) pairs: "the
best position gets its best token, the third best its second best token". Ranks are filled with
positions and tokens at run time, so a graph is content-free and fixed beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from psd_lib.errors import UserError

Formula = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Graph:
    """A directed draft graph over the certain state, node 0.

    Node 0 is the empty formula and is not listed. `formulas[n - 1]` is node n. A formula is the
    child of every largest formula that it contains, so it may have several parents and is reached
    through whichever of them was accepted; where formulas grow pair by pair this is Spiffy's parent
    rule, and where a policy takes several positions at once its jumps are edges too.

    Raises:
        UserError: a formula is empty, names a position twice, or is listed twice.

    Example, best and second best position in either order::

        Graph([[(0, 0)], [(1, 0)], [(0, 0), (1, 0)]])     parents of node 3: nodes 1 and 2
    """

    formulas: tuple[Formula, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "formulas", tuple(_checked(formula) for formula in self.formulas))
        if len(set(self.formulas)) < len(self.formulas):
            raise UserError("a draft graph must not hold the same formula twice.")

    def __len__(self) -> int:
        return len(self.formulas)

    def first(self, count: int) -> Graph:
        """Return the graph of the first `count` formulas."""
        return Graph(self.formulas[:count])

    @cached_property
    def positions(self) -> int:
        """Return how many position ranks occur: 1 + the largest, 0 for the empty graph."""
        return 1 + max(
            (position for formula in self.formulas for position, _ in formula), default=-1
        )

    @cached_property
    def vocabulary(self) -> int:
        """Return how many vocabulary ranks are needed, at least 1."""
        return 1 + max((token for formula in self.formulas for _, token in formula), default=0)

    @cached_property
    def parents(self) -> tuple[tuple[int, ...], ...]:
        """Return the parents of node n at index n, node 0 included (it has none)."""
        sets = [frozenset(), *map(frozenset, self.formulas)]
        found: list[tuple[int, ...]] = []
        for child in sets:
            below = [n for n, other in enumerate(sets) if other < child]
            found.append(tuple(n for n in below if not any(sets[n] < sets[m] for m in below)))
        return tuple(found)

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Return the longest way from node 0 to each node, `len(self) + 1` numbers."""
        levels = [0] * (len(self) + 1)
        for node in sorted(range(1, len(levels)), key=lambda n: len(self.formulas[n - 1])):
            levels[node] = 1 + max(levels[parent] for parent in self.parents[node])
        return tuple(levels)


@dataclass(frozen=True)
class CalibratedGraph:
    """A graph found by calibration, best formulas first.

    `block_length` is the one that the trajectories were recorded at.
    `name` is for labels; `digest` identifies the content in configs and rows.
    """

    graph: Graph
    block_length: int
    name: str
    digest: str


def chain(count: int) -> Graph:
    """Return the nested prefixes of the position ranking: {0}, {0, 1}, {0, 1, 2}, ..."""
    return Graph(tuple(best_tokens_of(range(size)) for size in range(1, count + 1)))


def best_tokens_of(positions: Iterable[int]) -> Formula:
    """Return the formula that fills position ranks with their best tokens."""
    return tuple((position, 0) for position in positions)


def _checked(formula: Iterable[Iterable[int]]) -> Formula:
    pairs = tuple(sorted(_pairs(formula)))
    if not pairs or len({position for position, _ in pairs}) < len(pairs):
        raise UserError(
            "a draft formula holds one or more pairs with different position ranks, got"
            f" {formula!r}."
        )
    return pairs


def _pairs(formula: Iterable[Iterable[int]]) -> Iterator[tuple[int, int]]:
    for pair in formula:
        position, token = pair
        if not (isinstance(position, int) and isinstance(token, int)) or position < 0 or token < 0:
            raise UserError(
                f"a draft formula holds pairs of whole numbers of at least 0, got {pair!r}."
            )
        yield position, token
