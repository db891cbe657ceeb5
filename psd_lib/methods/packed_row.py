"""SimSD's packed row: drafted tokens and mask copies side by side behind the context."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from psd_lib.core.attention import block_numbers, mask, visibility
from psd_lib.core.batch import Batch
from psd_lib.core.cache import ForwardRequest, ForwardResult, Session, to_device

NEVER = 1 << 20


@dataclass(frozen=True)
class Revealed:
    """What the draft model revealed in the window, `[S, W]` each.

    `state` int64 tokens; `time` int64 the step of each reveal, 0 where nothing was masked and
    `NEVER` where the mask stayed; `masked` bool, what was masked before.
    """

    state: Tensor
    time: Tensor
    masked: Tensor

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return state, time and mask."""
        return self.state, self.time, self.masked


class PackedRow(Session):
    """One packed row per sequence for its drafts, and a plain row where they complete the block."""

    def __init__(self, plain: Session, batch: Batch):
        self.plain, self.denoiser, self.canvas = plain, batch.denoiser, batch.canvas
        self.revealed: Revealed | None = None

    def forward(self, request: ForwardRequest) -> ForwardResult:
        """Run the first window plainly, then packed rows."""
        if self.revealed is None:
            return self.plain.forward(request)
        canvas, width = self.canvas, self.canvas.width
        device = canvas.ids.device
        packed = (request.wanted.any(-1) & ~request.complete).any(-1)
        whole = request.wanted.any(-1) & request.complete
        own = (request.start + width * (1 + whole.any(-1))).clamp(max=canvas.end)
        size = int(own.max())
        of_packed, (of_whole, node) = packed.nonzero()[:, 0], whole.nonzero().unbind(1)
        rows = to_device(device, of_packed, of_whole, node)
        ids, positions, visible = self._rows(request.tokens, rows[0], rows[1], rows[2], size)
        where = request.wanted.nonzero()
        done = request.complete[where[:, 0], where[:, 1]]
        number = torch.zeros(request.complete.shape, dtype=torch.long)
        number[packed] = torch.arange(len(of_packed))[:, None]
        number[whole] = len(of_packed) + torch.arange(len(of_whole))
        row = number[where[:, 0], where[:, 1]]
        column = torch.where(done, request.start[where[:, 0]], size) + width + where[:, 2]
        row, column = to_device(device, row, column)
        logits = self.denoiser.logits(ids, positions, visible, row, column)
        query = (packed + whole.sum(-1)) * (canvas.real(own) + 2 * width)
        return ForwardResult(logits, query, query)

    def _rows(
        self, tokens: Tensor, packed: Tensor, whole: Tensor, node: Tensor, size: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ids, positions `[R, size + 2 W]` and what they see.

        Packed rows of the sequences `packed` come first, then plain rows of the states `node` of
        the sequences `whole`, which complete the block.
        """
        canvas, width = self.canvas, self.canvas.width
        assert self.revealed is not None
        state, time, masked = self.revealed.parts()
        sequence = torch.cat([packed, whole])
        is_packed = torch.arange(len(sequence), device=sequence.device) < len(packed)
        window = torch.cat([tokens[packed, 0], tokens[whole, node]])
        columns = canvas.columns()[sequence]
        context = canvas.ids[sequence].scatter(1, columns, window)[:, :size]
        copies = torch.full_like(window, canvas.mask_id)
        places = columns - canvas.pad[sequence, None]
        ids = torch.cat([context, state[sequence], copies], 1)
        positions = torch.cat([canvas.positions[sequence, :size], places, places], 1)
        hidden = torch.zeros_like(canvas.ids, dtype=torch.bool)[sequence]
        hidden = hidden.scatter(1, columns, masked[sequence])[:, :size]
        begin = torch.where(is_packed, canvas.start[sequence], canvas.start[sequence] + width)
        blocks = block_numbers(self.denoiser, canvas, sequence, begin, size)
        base = visibility(positions[:, :size], blocks, False)[:, 0]
        base = base & ~(hidden & is_packed[:, None])[:, None, :]
        at = torch.arange(size, device=ids.device)
        inside = (at >= columns[:, :1]) & (at < columns[:, :1] + width)
        known = (positions[:, :size] >= 0) & ((at < columns[:, :1]) | (inside & ~hidden))
        exists = torch.cat([time[sequence] < NEVER, torch.ones_like(masked[sequence])], 1)
        exists = exists & masked[sequence].repeat(1, 2)
        slots = packed_mask(time[sequence]) & (exists & is_packed[:, None])[:, None, :]
        below = torch.cat([known[:, None].expand(-1, 2 * width, -1), slots], -1)
        above = torch.nn.functional.pad(base, (0, 2 * width))
        return ids, positions, mask(torch.cat([above, below], 1))


def packed_mask(time: Tensor) -> Tensor:
    """Return who sees whom among drafted tokens D and mask copies M, bool `[S, 2 W, 2 W]`.

    D comes before M; `time` int64 `[S, W]` is the step of each reveal. D_i sees D_j with t_j <= t_i
    and M_j with t_j > t_i; M_i sees D_j with t_j < t_i and M_j with t_j >= t_i: every position
    once, as a token if it was revealed by then, else as a mask.

    Example, reveal times [2, 1], rows and columns D0 D1 M0 M1::

        1 1 . .
        . 1 1 .
        . 1 1 .
        . . 1 1
    """
    own, other = time[:, :, None], time[:, None, :]
    drafted = torch.cat([other <= own, other > own], -1)
    copies = torch.cat([other < own, other >= own], -1)
    return torch.cat([drafted, copies], 1)
