"""Recorded trajectories: what a bare policy saw before each step and where it went, in ranks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from psd_lib.core.batch import Batch
from psd_lib.core.scores import order
from psd_lib.core.strategy import Needs, Observer, Step
from psd_lib.methods.spiffy import Formula


@dataclass(frozen=True)
class Note:
    """One step of a batch.

    `start` int64 `[S]` is each window's first column, -1 for finished sequences; `node0` `[S, W]`
    the state after the step, `masked` what is masked in it and `rank` the order of the masks;
    `tokens` `[S, W, R]` the best tokens by rank.
    """

    start: Tensor
    node0: Tensor
    masked: Tensor
    rank: Tensor
    tokens: Tensor

    def on_host(self) -> Note:
        """Return the note with all tensors on the host."""
        return Note(*(part.cpu() for part in vars(self).values()))


class Trajectories(Observer):
    """Note every step of a bare policy, with the `vocabulary` best tokens of each position."""

    def __init__(self, vocabulary: int):
        self.vocabulary = vocabulary
        self._notes: dict[int, list[Note]] = {}
        self._batches: list[Batch] = []  # kept, so that no two have one identity

    @property
    def needs(self) -> Needs:
        """Ask for as many best tokens."""
        return Needs(top_tokens=self.vocabulary)

    def on_step(self, batch: Batch, step: Step) -> None:
        """Note the step."""
        if id(batch) not in self._notes:
            self._batches.append(batch)
            self._notes[id(batch)] = []
        start = torch.where(batch.canvas.done, -1, batch.canvas.start)
        tokens, _ = step.scores.best(self.vocabulary)
        rank = order(step.policy.priority(step.scores), step.masked)
        self._notes[id(batch)].append(Note(start, step.node0, step.masked, rank, tokens))

    def batches(self) -> list[list[Note]]:
        """Return the notes of each batch, in order."""
        return list(self._notes.values())


def walks(notes: list[Note], horizon: int) -> Iterator[list[Formula | None]]:
    """Yield, for each noted state that is not complete, the next states of its block as formulas.

    At most `horizon` of them, in order. A formula says what was committed since the noted state in
    that state's own ranks; None where a token was not among the noted ones, so that no formula over
    them could have drafted it.
    """
    notes = [note.on_host() for note in notes]
    for at, note in enumerate(notes):
        for row in torch.nonzero((note.start >= 0) & note.masked.any(-1))[:, 0].tolist():
            walk = []
            for later in notes[at + 1 : at + 1 + horizon]:
                if later.start[row] != note.start[row]:
                    break
                decided = note.masked[row] & ~later.masked[row]
                walk.append(_formula(decided, note.rank[row], note.tokens[row], later.node0[row]))
            yield walk


def _formula(decided: Tensor, rank: Tensor, tokens: Tensor, state: Tensor) -> Formula | None:
    """Pairs of the `decided` positions `[W]`; None where a token of `state` is not in `tokens`."""
    pairs = []
    for position in decided.nonzero()[:, 0].tolist():
        place = (tokens[position] == state[position]).nonzero()
        if not len(place):
            return None
        pairs.append((int(rank[position]), int(place[0])))
    return tuple(sorted(pairs))
