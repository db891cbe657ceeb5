"""Exact block cache: block-causal models store the K/V of finished blocks once and for all.

In a block-causal model a finished block never sees what comes later, so its K/V never change. A
call then runs only the guessed contents of the current block: all states of a sequence lie side by
side in one packed row, each sees the stored blocks and itself. A state that completes the block is
followed by the next block's masks, which see it: so storing a finished block needs no call of its
own (fused commit), and the number of calls is that of decoding without a cache. Where a window has
several blocks (eager drafting), every state runs them all, and a block sees those before it.

Where predictions are shifted, the first position of a block is predicted by the last position
before it. A state's own segment does not hold that position, so its token runs once more, alone at
the end of the row, and sees the stored blocks only. Behind a complete state it is simply the
segment's last token. Models with a causal context finish a block causally: a complete state's own
segment is run and stored with a triangular mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.core.attention import block_numbers, mask, not_before, same, visibility
from psd_lib.core.cache import (
    CachePlan,
    ForwardRequest,
    ForwardResult,
    NoCache,
    Session,
    to_device,
)
from psd_lib.core.canvas import Canvas
from psd_lib.core.denoiser import Denoiser, Layers
from psd_lib.core.registry import register


@register
@dataclass(frozen=True)
class ExactBlock(CachePlan):
    """Store finished blocks, pack the states of the current one.

    Exact where finished blocks never see what comes later (block-causal, or with a causal context),
    refused elsewhere.
    """

    name: ClassVar[str] = "exact_block"
    title: ClassVar[str] = "exact block cache"
    wide: ClassVar[bool] = True

    def open(self, denoiser: Denoiser, canvas: Canvas) -> Session:
        """Begin on a fresh canvas; raise UserError if finished blocks change."""
        if denoiser.sees_future:
            reason = "its attention is bidirectional, so finished blocks change with every commit"
            raise self.refuse(reason, "'none'")
        return PackedForward(denoiser, canvas)


@register
@dataclass(frozen=True)
class Exact(CachePlan):
    """Choose the fastest plan that changes no decision: `exact_block` if it fits, else `none`."""

    name: ClassVar[str] = "exact"
    title: ClassVar[str] = "fastest exact cache"
    wide: ClassVar[bool] = True

    def resolve(self, denoiser: Denoiser) -> CachePlan:
        """Return the plan for this model."""
        return NoCache() if denoiser.sees_future else ExactBlock()

    def open(self, denoiser: Denoiser, canvas: Canvas) -> Session:
        """Begin with the plan for this model."""
        return self.resolve(denoiser).open(denoiser, canvas)


@dataclass(frozen=True)
class Layout:
    """Where states lie in the packed rows of one call, on the device.

    A rows (active sequences) of K segments of W tokens, one block each: `sequence` `[A]`; `node`
    `[A, K]`, -1 for filling; `ahead` `[A, K]`, the block counted from the window's first, such as 1
    for the masks behind a complete state; `done` `[A, K]`, 1 for a complete block; `slot` `[S, N]`
    each state's first segment; `row` `[S]` packed row of each sequence.
    """

    sequence: Tensor
    node: Tensor
    ahead: Tensor
    done: Tensor
    slot: Tensor
    row: Tensor


class PackedForward(Session):
    """The session: the store, the layout of the last call, and the K/V that it made."""

    def __init__(self, denoiser: Denoiser, canvas: Canvas):
        self.denoiser, self.canvas = denoiser, canvas
        self.store: Layers = []
        self.made: Layers = []
        self.layout: Layout | None = None
        self.start: Tensor | None = None
        self.ended: Tensor | None = None

    def forward(self, request: ForwardRequest) -> ForwardResult:
        """Run prompt and first window at first, packed states ever after."""
        if self.start is None:
            result = self._prefill(request)
        else:
            self._keep(request.start)
            result = self._packed(request)
        self.start = request.start
        return result

    def commit(self, node: Tensor) -> None:
        """Remember the accepted states.

        Whether they finished a block is known at the next host read.
        """
        self.ended = node

    def _prefill(self, request: ForwardRequest) -> ForwardResult:
        canvas = self.canvas
        own = (request.start + canvas.span).clamp(max=canvas.end)
        size = int(own.max())
        where = request.wanted.nonzero()
        row, column = to_device(
            canvas.ids.device, where[:, 0], request.start[where[:, 0]] + where[:, 2]
        )
        positions = canvas.positions[:, :size]
        blocks = block_numbers(
            self.denoiser,
            canvas,
            torch.arange(len(positions), device=positions.device),
            canvas.start,
            size,
        )
        visible = visibility(positions, blocks, sees_future=False)
        made: Layers = []
        logits = self.denoiser.logits(
            canvas.ids[:, :size], positions, visible, row, column, new=made
        )
        spare = canvas.ids.shape[1] - size
        pad = torch.nn.functional.pad
        self.store = [
            (pad(keys, (0, 0, 0, spare)), pad(values, (0, 0, 0, spare))) for keys, values in made
        ]
        tokens = canvas.real(own)
        return ForwardResult(logits, tokens, tokens)

    def _keep(self, start: Tensor) -> None:
        """Copy the K/V of the blocks that the last walks finished into the store."""
        if self.layout is None or self.start is None or self.ended is None:
            return
        width = self.canvas.width
        finished, block = (
            (torch.arange(1 + self.canvas.reach) < (start - self.start)[:, None] // width)
            .nonzero()
            .unbind(1)
        )
        first = self.start[finished] + block * width
        finished, block, first = to_device(self.canvas.ids.device, finished, block, first)
        offset = torch.arange(width, device=finished.device)
        slot = self.layout.slot[finished, self.ended[finished]] + block
        source, target = slot[:, None] * width + offset, first[:, None] + offset
        row = self.layout.row[finished]
        for kept, made in zip(self.store, self.made, strict=True):
            for into, part in zip(kept, made, strict=True):
                into[finished[:, None], :, target] = part[row[:, None], :, source]

    def _packed(self, request: ForwardRequest) -> ForwardResult:
        canvas, width = self.canvas, self.canvas.width
        layout, slot, counts = self._lay_out(request)
        leads = (request.wanted[..., 0] & ~request.complete).any(-1) & self.denoiser.shift
        lead = bool(leads.any())
        tokens, positions, real = self._fill(request.tokens, layout, lead)
        past = int(request.start[counts > 0].max())
        rows = layout.sequence
        where = request.wanted.nonzero()
        segment = (slot + request.complete)[where[:, 0], where[:, 1]]
        column = segment * width + where[:, 2]
        if lead:
            first = (where[:, 2] == 0) & ~request.complete[where[:, 0], where[:, 1]]
            column = torch.where(first, layout.node.shape[1] * width + 1, column)
        number = torch.zeros(len(counts), dtype=torch.long)
        number[counts > 0] = torch.arange(int((counts > 0).sum()))
        row, column = to_device(rows.device, number[where[:, 0]], column)
        self.made, self.layout = [], layout
        stored = [(keys[rows, :, :past], values[rows, :, :past]) for keys, values in self.store]
        visible = self._visible(layout, real, past, lead)
        logits = self.denoiser.logits(tokens, positions, visible, row, column, stored, self.made)
        query = counts * width + leads
        return ForwardResult(logits, query, query + canvas.real(request.start) * (counts > 0))

    def _visible(self, layout: Layout, real: Tensor, past: int, lead: bool) -> Tensor:
        """Return what packed queries see: stored columns, then each other.

        Bool `[A, 1, Q, past + Q]`.

        Example, width 2, one complete state (own window `a`, the masks behind it `b`), lead token
        `l`, one stored column::

            query   stored  a a b b l
            a            1  1 1 . . .      (1 . with a causal context)
            a            1  1 1 . . .
            b            1  1 1 1 1 .
            b            1  1 1 1 1 .
            l            1  . . . . .
        """
        canvas, width, rows = self.canvas, self.canvas.width, layout.sequence
        seen = (torch.arange(past, device=rows.device) < canvas.start[rows, None]) & (
            canvas.positions[rows, :past] >= 0
        )
        own = same(layout.node, layout.node) & not_before(layout.ahead, layout.ahead)
        packed = own.repeat_interleave(width, 1).repeat_interleave(width, 2) & real[:, None, :]
        if self.denoiser.causal_context:
            order = torch.arange(packed.shape[1], device=rows.device)
            later = (order[:, None] < order) & (order[:, None] // width == order // width)
            packed &= ~(later & layout.done.bool().repeat_interleave(width, 1)[:, :, None])
        if lead:
            packed = torch.nn.functional.pad(packed, (0, 1, 0, 1))
            packed[:, -1, -1] = ~seen.any(-1)  # a query without a key is undefined in some kernels
        return mask(torch.cat([seen[:, None, :].expand(-1, packed.shape[1], -1), packed], -1))

    def _lay_out(self, request: ForwardRequest) -> tuple[Layout, Tensor, Tensor]:
        """Return the layout, and on the host where states lie in it.

        That is each state's segment `[S, N]`, and each sequence's number of segments `[S]`.
        """
        parts, at = self._parts(request), request.ahead(self.canvas.width)
        size = torch.stack(parts).long().sum(0)
        slot, counts = size.cumsum(1) - size, size.sum(1)
        active = counts.nonzero()[:, 0]
        row = torch.zeros_like(counts)
        row[active] = torch.arange(len(active))
        node = torch.full((len(active), int(counts.max())), -1)
        ahead, done = torch.zeros_like(node), torch.zeros_like(node)
        for part, runs in enumerate(parts):
            sequence, number = runs.nonzero().unbind(1)
            segment = slot[sequence, number] + part
            node[row[sequence], segment] = number
            ahead[row[sequence], segment] = part
            done[row[sequence], segment] = (part < at[sequence, number]).long()
        layout = Layout(*to_device(self.canvas.ids.device, active, node, ahead, done, slot, row))
        return layout, slot, counts

    def _parts(self, request: ForwardRequest) -> list[Tensor]:
        """Return which states run their first block, which the second, and so on.

        Bool `[S, N]` each, on the host.
        """
        canvas, needed = self.canvas, request.wanted.any(-1)
        if canvas.reach:
            return [
                needed & (request.start + canvas.width * part < canvas.end)[:, None]
                for part in range(1 + canvas.reach)
            ]
        # shifted blocks of one token are predicted by the finished block itself: autoregressive
        # decoding
        follow = (
            needed & request.complete
            if canvas.width > 1 or not self.denoiser.shift
            else torch.zeros_like(needed)
        )
        return [needed, follow]

    def _fill(self, nodes: Tensor, layout: Layout, lead: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return token ids and positions `[A, Q]`, and which keys exist, bool `[A, K * W]`.

        Q is K * W, plus 1 with a lead token.
        """
        canvas = self.canvas
        own = nodes[layout.sequence[:, None], layout.node.clamp(min=0)]
        if canvas.reach:
            block = layout.ahead[..., None, None].expand(-1, -1, 1, canvas.width)
            tokens = own.unflatten(-1, (-1, canvas.width)).gather(2, block)[:, :, 0]
        else:
            following, _ = canvas.window(ahead=1)
            tokens = torch.where(
                layout.ahead[..., None] == 1, following[layout.sequence][:, None], own
            )
        first = canvas.start[layout.sequence, None, None] + canvas.width * layout.ahead[..., None]
        columns = first + torch.arange(canvas.width, device=first.device)
        positions = columns - canvas.pad[layout.sequence, None, None]
        tokens, positions, real = (
            tokens.flatten(1),
            positions.flatten(1),
            (columns < canvas.end).flatten(1),
        )
        if lead:
            before = (canvas.start[layout.sequence, None] - 1).clamp(min=0)
            tokens = torch.cat([tokens, canvas.ids[layout.sequence].gather(1, before)], 1)
            positions = torch.cat([positions, before - canvas.pad[layout.sequence, None]], 1)
        return tokens, positions, real
