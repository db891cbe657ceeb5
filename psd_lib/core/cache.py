"""Cache plans: which positions run as queries in a call, what they see, and what is kept.

The engine says which guessed states need scores and leaves the call to the plan's session. An exact
plan changes what is computed and never what is decided; any other plan says so (`exact`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.core.attention import block_numbers, visibility
from psd_lib.core.canvas import Canvas
from psd_lib.core.denoiser import Denoiser
from psd_lib.core.described import Described
from psd_lib.errors import UserError


@dataclass(frozen=True)
class ForwardRequest:
    """What the engine asks in one iteration about S x N guessed states.

    All but `tokens` are on the host. `tokens` int64 `[S, N, W]` are window contents. `wanted[s, n,
    w]`: logits are needed here; where `complete[s, n]`, w counts positions of the *next* block.
    `start` int64 `[S]` is each window's first column. Windows of several blocks (`[S, N, span]`)
    are never complete.
    """

    tokens: Tensor
    wanted: Tensor
    complete: Tensor
    start: Tensor

    def ahead(self, width: int) -> Tensor:
        """Return how many blocks of `width` a state is ahead of its window's first, int64 `[S, N]`.

        Example, width 2, wanted [0 0 1 1] of a window of two blocks: 1. A complete window of one
        block: 1.
        """
        if self.wanted.shape[-1] == width:
            return self.complete.long()
        return self.complete + self.wanted.int().argmax(-1) // width


@dataclass(frozen=True)
class ForwardResult:
    """Logits `[n, V]` for the n True entries of `wanted` in order, and what the call cost.

    `query` and `key` are tokens per sequence `[S]` (host): those that ran, and those that they
    could see, over its rows. Padding is not counted, so they are the same in any batch.
    """

    logits: Tensor
    query: Tensor
    key: Tensor


class Session:
    """A cache plan at work on one batch: it makes the calls."""

    def forward(self, request: ForwardRequest) -> ForwardResult:
        """Make the iteration's one call of the model."""
        raise NotImplementedError

    def commit(self, node: Tensor) -> None:
        """Keep what the accepted states made; `node` int64 `[S]` is where each path ended."""


class CachePlan(Described):
    """What a configuration names; `open` starts it on a batch.

    `exact`: decisions are those without a cache. `wide`: windows of several blocks fit.
    """

    exact: ClassVar[bool] = True
    wide: ClassVar[bool] = False

    def resolve(self, denoiser: Denoiser) -> CachePlan:
        """Return the plan that is meant for this model; itself, unless it stands for others."""
        return self

    def open(self, denoiser: Denoiser, canvas: Canvas) -> Session:
        """Begin on a fresh canvas.

        Raises:
            UserError: the plan does not fit the model.
        """
        raise NotImplementedError

    @classmethod
    def refuse(cls, reason: str, accepted: str) -> UserError:
        """Return the one sentence for a model that the plan does not fit."""
        return UserError(f"cache {cls.name!r} does not fit this model: {reason}; use {accepted}.")


@dataclass(frozen=True)
class NoCache(CachePlan):
    """Recompute every column that the asked positions can see, one row per state.

    A state alone decides its scores. Fits every model.
    """

    name: ClassVar[str] = "none"
    wide: ClassVar[bool] = True

    def open(self, denoiser: Denoiser, canvas: Canvas) -> Session:
        """Begin on a fresh canvas."""
        return FullForward(denoiser, canvas)


class FullForward(Session):
    """Rows of whole canvases, up to the furthest window if attention never looks further right."""

    def __init__(self, denoiser: Denoiser, canvas: Canvas):
        self.denoiser, self.canvas = denoiser, canvas

    def forward(self, request: ForwardRequest) -> ForwardResult:
        """Run one row per needed state."""
        canvas = self.canvas
        needed = request.wanted.any(-1)
        rows, where = needed.nonzero(), request.wanted.nonzero()
        start = request.start[:, None] + canvas.width * request.complete
        own: Tensor | int = canvas.end
        size = canvas.end
        if not self.denoiser.sees_future:
            own = ((start * needed).amax(-1) + canvas.span).clamp(max=canvas.end)
            size = int(own.max())
        number = torch.full(needed.shape, -1)
        number[needed] = torch.arange(len(rows))
        row = number[where[:, 0], where[:, 1]]
        column = start[where[:, 0], where[:, 1]] + where[:, 2]
        ahead = request.ahead(canvas.width)[rows[:, 0], rows[:, 1]]
        sequence, node, ahead, row, column = to_device(
            canvas.ids.device, *rows.unbind(1), ahead, row, column
        )
        ids = canvas.ids[sequence].scatter(
            1, canvas.columns()[sequence], request.tokens[sequence, node]
        )[:, :size]
        positions = canvas.positions[sequence, :size]
        begin = canvas.start[sequence] + canvas.width * ahead
        blocks = block_numbers(self.denoiser, canvas, sequence, begin, size)
        visible = visibility(positions, blocks, self.denoiser.sees_future)
        logits = self.logits(ids, positions, visible, row, column)
        tokens = needed.sum(-1) * canvas.real(own)
        return ForwardResult(logits, tokens, tokens)

    def logits(
        self, ids: Tensor, positions: Tensor, visible: Tensor, row: Tensor, column: Tensor
    ) -> Tensor:
        """Call the model on the rows; a session that adds to them overrides this."""
        return self.denoiser.logits(ids, positions, visible, row, column)


def to_device(device: torch.device, *indices: Tensor) -> list[Tensor]:
    """Return host indices on the device, without waiting for it."""
    return [index.to(device, non_blocking=True) for index in indices]


def scatter_rows(sequence: Tensor, rows: Tensor, shape: torch.Size) -> Tensor:
    """Return zeros of `shape` `[S, ...]` with `rows` `[A, ...]` at `sequence` `[A]`."""
    blank = torch.zeros(shape, dtype=rows.dtype, device=rows.device)
    return blank.index_copy(0, sequence, rows)
