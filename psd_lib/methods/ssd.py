"""SSD (arXiv 2510.04147): the model drafts for itself, as a chain or as a mix-order tree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from psd_lib.core.checks import at_least
from psd_lib.core.described import option
from psd_lib.core.policies import TopK
from psd_lib.core.registry import Decoder, register, register_decoder
from psd_lib.methods.freedave import EagerChain
from psd_lib.methods.spiffy.drafts import BestTokens
from psd_lib.methods.spiffy.graph import Graph, best_tokens_of

MOST = 512  # nodes of a tree: each is a row of the call


@lru_cache(maxsize=64)
def mix_order(count: int, width: int = 2) -> Graph:
    """Return SSD's mix-order tree within a budget of `count` nodes.

    Each level takes one of the `width` best remaining positions. SSD (arXiv 2510.04147) publishes
    neither shape nor budget, so this is a reconstruction: a node costs 1 per level and 2 per pick
    that was passed over, the cheapest come first, ties go to the smaller, then to the better ranked
    state. Ways that lead to the same state are one node with several parents. With `width` 1 it is
    the chain.

    Example: ``mix_order(7)`` is {0}, {0, 1}, {1}, {0, 1, 2}, {0, 2}, {0, 1, 2, 3}, {0, 1, 3}.
    """
    cost: dict[tuple[int, ...], int] = {(): 0}
    frontier: list[tuple[int, ...]] = [()]
    for _ in range(count):
        reached: dict[tuple[int, ...], int] = {}
        for state in frontier:
            remaining = [rank for rank in range(count + width) if rank not in state][:width]
            for detour, rank in enumerate(remaining):
                child = tuple(sorted((*state, rank)))
                price = cost[state] + 1 + 2 * detour
                reached[child] = min(price, reached.get(child, price))
        cost |= reached
        # every state of the next level costs at least 1 more, so the cheapest `count` of a level
        # are enough
        frontier = sorted(reached, key=lambda state: (reached[state], state))[:count]
    ranked = sorted(
        (state for state in cost if state), key=lambda state: (cost[state], len(state), state)
    )
    return Graph(tuple(map(best_tokens_of, ranked[:count])))


@register
@dataclass(frozen=True)
class MixOrder(BestTokens):
    """Draft SSD's mix-order tree of at most `depth` guessed states, reconstructed.

    Each level takes one of the `width` best remaining positions; see `mix_order`.
    """

    depth: int = option("guessed states above the policy's step: the row budget", 7)
    width: int = option("best remaining positions that a level chooses from", 2)
    name: ClassVar[str] = "mix_order"
    title: ClassVar[str] = "mix-order"
    reconstructed: ClassVar[bool] = True
    note: ClassVar[str] = (
        "SSD publishes neither shape nor budget of its mix-order tree: ours takes one of the width "
        "best remaining positions per level and keeps the depth cheapest states at 1 per level and "
        "2 per position passed over."
    )

    def __post_init__(self) -> None:
        at_least("depth", self.depth, 0, MOST)
        at_least("width", self.width, 1, MOST)

    @property
    def graph(self) -> Graph:
        """Return the formulas."""
        return mix_order(self.depth, self.width)


register_decoder(
    "ssd",
    Decoder(
        TopK(1),
        EagerChain(),
        options=("drafter",),
        exchange=("drafter",),
        title="SSD",
        source=(
            "SSD, arXiv 2510.04147: depth N; drafter='mix_order' for its tree, depth being the row "
            "budget"
        ),
    ),
)
