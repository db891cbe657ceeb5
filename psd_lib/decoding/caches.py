"""Cache plans: which positions run as queries in a call, what they see, and what is stored between
calls.

The loop says which guessed states need scores and leaves the call to the plan. All plans here are
exact: they change what is computed, never what is decided. Plans that freeze K/V which the model
would recompute (prefix and dual caches of fully bidirectional models) are approximations and would
have to say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from psd_lib.decoding.canvas import Canvas
from psd_lib.decoding.denoiser import Denoiser
from psd_lib.errors import UserError


@dataclass(frozen=True)
class Ask:
    """What the loop asks in one iteration about S x N guessed states; the tensors but `tokens` are
    on the host.

    `tokens` int64 `[S, N, W]` window contents; `wanted` bool `[S, N, W]` the positions whose logits
    are asked for, which are those of the next block where `complete` `[S, N]`; `start` int64 `[S]`
    first column of each window. Windows of several blocks (`[S, N, span]`) are never complete.
    """

    tokens: Tensor
    wanted: Tensor
    complete: Tensor
    start: Tensor

    def ahead(self, width: int) -> Tensor:
        """How many blocks of `width` lie between the window's first and the one that a state is at,
        int64 `[S, N]`.

        Example, width 2, wanted [0 0 1 1] of a window of two blocks: 1. A complete window of one
        block: 1.
        """
        first = self.wanted.int().argmax(-1) // width if self.wanted.shape[-1] > width else 0
        return self.complete + first


@dataclass(frozen=True)
class Answer:
    """Logits `[n, V]` for the n True entries of `wanted` in order, and what the call cost.

    `query` and `key` are tokens per sequence `[S]` (host): those that ran, and those that they
    could see, over its rows. Padding is not counted, so they are the same in any batch.
    """

    logits: Tensor
    query: Tensor
    key: Tensor


class Session(Protocol):
    """A plan at work on one batch."""

    def forward(self, ask: Ask) -> Answer:
        """The iteration's one call of the model."""

    def settle(self, node: Tensor) -> None:
        """`node` int64 `[S]`: where each walk ended among the states that were asked about last."""


class CachePlan(Protocol):
    """What a config names; `open` starts it on a batch. `wide` = True: windows of several blocks
    fit (eager drafting).
    """

    name: ClassVar[str]

    def open(self, denoiser: Denoiser, canvas: Canvas) -> Session:
        """Begin on a fresh canvas. Raises UserError when the plan does not fit the model."""


@dataclass(frozen=True)
class NoCache:
    """Recompute every column that the asked positions can see, one row per state: a state alone
    decides its scores.
    """

    name: ClassVar[str] = "none"
    wide: ClassVar[bool] = True

    def open(self, denoiser: Denoiser, canvas: Canvas) -> Session:
        """Fits every model."""
        return FullForward(denoiser, canvas)


class FullForward:
    """Rows of whole canvases, up to the furthest window where attention never looks further right."""

    def __init__(self, denoiser: Denoiser, canvas: Canvas):
        self.denoiser, self.canvas = denoiser, canvas

    def forward(self, ask: Ask) -> Answer:
        """One row per needed state."""
        canvas = self.canvas
        needed = ask.wanted.any(-1)
        rows, where = needed.nonzero(), ask.wanted.nonzero()
        start = ask.start[:, None] + canvas.width * ask.complete
        size, own = canvas.end, canvas.end
        if not self.denoiser.sees_future:
            own = ((start * needed).amax(-1) + canvas.span).clamp(max=canvas.end)
            size = int(own.max())
        number = torch.full(needed.shape, -1)
        number[needed] = torch.arange(len(rows))
        row = number[where[:, 0], where[:, 1]]
        column = start[where[:, 0], where[:, 1]] + where[:, 2]
        sequence, node, row, column = to_device(canvas.ids.device, *rows.unbind(1), row, column)
        ids = canvas.ids[sequence].scatter(
            1, canvas.columns()[sequence], ask.tokens[sequence, node]
        )[:, :size]
        begin = (
            canvas.start[sequence]
            + canvas.width * ask.ahead(canvas.width).to(canvas.ids.device)[sequence, node]
        )
        positions = canvas.positions[sequence, :size]
        visible = visibility(
            positions,
            sight(self.denoiser, canvas, sequence, begin, size),
            self.denoiser.sees_future,
        )
        logits = self.denoiser.logits(ids, positions, visible, row, column)
        tokens = needed.sum(-1) * canvas.real(own)
        return Answer(logits, tokens, tokens)

    def settle(self, node: Tensor) -> None:
        """Nothing is kept."""


def sight(denoiser: Denoiser, canvas: Canvas, sequence: Tensor, begin: Tensor, size: int) -> Tensor:
    """Block numbers `[R, size]` of the rows' first columns, for `visibility`; `begin` `[R]` is each
    row's current block.

    With a causal context every column before the current block is a block of its own.

    Example, width 2, begin 2, size 6, causal context: blocks [0, 1, 2, 2, 4, 4].
    """
    if not denoiser.causal_context:
        return canvas.blocks[sequence, :size]
    columns, begin = torch.arange(size, device=begin.device), begin[:, None]
    return torch.where(columns < begin, columns, columns - (columns - begin) % canvas.width)


def visibility(positions: Tensor, blocks: Tensor, sees_future: bool) -> Tensor:
    """Which key each query may see, bool `[R, 1, C, C]` (4-D, as stock classes pass such masks on
    unchanged).

    Keys at padding (negative position) are seen by nobody; padding queries see every real key,
    since a query without a key is undefined in some kernels. Block-causal: a query sees its own
    block and everything before it.

    Example, positions [-1, 0, 1, 2], block_length 2, block-causal, query rows from the top::

        0 1 1 1
        0 1 1 0
        0 1 1 0
        0 1 1 1
    """
    real = positions >= 0
    if sees_future:
        return real[:, None, None, :].expand(-1, -1, positions.shape[1], -1)
    earlier = blocks[:, :, None] >= blocks[:, None, :]
    return ((earlier | ~real[:, :, None]) & real[:, None, :])[:, None]


def to_device(device: torch.device, *indices: Tensor) -> Sequence[Tensor]:
    """Host indices on the device, without waiting for it."""
    return [index.to(device, non_blocking=True) for index in indices]


def refuse(plan: str, reason: str, accepted: str) -> UserError:
    """The one sentence for a plan that does not fit a model."""
    return UserError(f"cache {plan!r} does not fit this model: {reason}; use {accepted}.")
