"""Recorded trajectories: what a bare policy saw before each step and where it went, in ranks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.alternatives import Ranked
from psd_lib.decoding.drafts import Drafts, NoDraft
from psd_lib.decoding.graphs import Formula
from psd_lib.decoding.policies import Policy
from psd_lib.decoding.scores import Scores, order

if TYPE_CHECKING:
    from psd_lib.decoding.loop import Loop


@dataclass(frozen=True)
class Witness(NoDraft):
    """A builder that drafts nothing and notes every state of the bare policy, with the `vocabulary`
    best tokens of each.
    """

    vocabulary: int = 1
    seen: list[BoundWitness] = field(default_factory=list, compare=False)
    name: ClassVar[str] = "witness"

    def begin(self, loop: Loop) -> BoundWitness:
        """One witness per batch."""
        loop.session = Ranked(loop.session, loop.denoiser, loop.canvas, self.vocabulary)
        self.seen.append(BoundWitness(loop))
        return self.seen[-1]


class BoundWitness:
    """The notes on one batch: per iteration start of the window, node 0, its mask, position ranks,
    ranked tokens.
    """

    def __init__(self, loop: Loop):
        self.loop, self.notes = loop, []

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """Node 0 alone, noted."""
        canvas, (tokens, _) = self.loop.canvas, self.loop.session.ranked(stale)
        start = torch.where(canvas.done, -1, canvas.start)
        self.notes.append((start, node0, masked, order(policy.priority(stale), masked), tokens))
        return NoDraft().build(node0, masked, stale, policy, taken)

    def walks(self, horizon: int) -> Iterator[list[Formula | None]]:
        """For each noted state that is not complete: formulas of the next states of its block, at
        most `horizon`, in order.

        A formula says what was committed since the noted state in that state's own ranks; None
        where a token was not among the noted ones, so that no formula over them could have drafted
        it.
        """
        notes = [[part.cpu() for part in note] for note in self.notes]
        for at, (start, node0, masked, rank, tokens) in enumerate(notes):
            for row in torch.nonzero((start >= 0) & masked.any(-1))[:, 0].tolist():
                walk = []
                for later in notes[at + 1 : at + 1 + horizon]:
                    if later[0][row] != start[row]:
                        break
                    decided = masked[row] & ~later[2][row]
                    walk.append(_formula(decided, rank[row], tokens[row], later[1][row]))
                yield walk


def _formula(decided: Tensor, rank: Tensor, tokens: Tensor, state: Tensor) -> Formula | None:
    """Pairs of the `decided` positions `[W]`, or None where a token of `state` is not among
    `tokens` `[W, R]`.
    """
    pairs = []
    for position in decided.nonzero()[:, 0].tolist():
        place = (tokens[position] == state[position]).nonzero()
        if not len(place):
            return None
        pairs.append((int(rank[position]), int(place[0])))
    return tuple(sorted(pairs))
