"""Exact block cache: block-causal models store the K/V of finished blocks once and for all.

In a block-causal model a finished block never sees what comes later, so its K/V never change. A call then runs only the
guessed contents of the current block: all states of a sequence lie side by side in one packed row, each sees the stored
blocks and itself. A state that completes the block is followed by the next block's masks, which see it: so storing a
finished block needs no call of its own (fused commit), and the number of calls is that of decoding without a cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.caches import Answer, Ask, refuse, to_device, visibility
from psd_lib.decoding.canvas import Canvas
from psd_lib.decoding.denoiser import Denoiser, Layers


@dataclass(frozen=True)
class ExactBlock:
    """Store finished blocks, pack the states of the current one. Exact for block-causal models, refused for others."""

    name: ClassVar[str] = "exact_block"

    def open(self, denoiser: Denoiser, canvas: Canvas) -> PackedForward:
        """Raises UserError for a model that sees the future, where finished blocks do change."""
        if denoiser.sees_future:
            raise refuse(self.name, "its attention is bidirectional, so finished blocks change with every commit", "'none'")
        return PackedForward(denoiser, canvas)


@dataclass(frozen=True)
class Layout:
    """Where states lie in the packed rows of one call, on the device.

    A rows (active sequences) of K segments of W tokens: `sequence` `[A]`; `node` `[A, K]`, -1 for filling; `ahead`
    `[A, K]`, 1 for the masks of the next block behind a complete state; `slot` `[S, N]` segment of each state's own
    window; `row` `[S]` packed row of each sequence.
    """

    sequence: Tensor
    node: Tensor
    ahead: Tensor
    slot: Tensor
    row: Tensor


class PackedForward:
    """The session: the store, the layout of the last call, and the K/V that it made."""

    def __init__(self, denoiser: Denoiser, canvas: Canvas):
        self.denoiser, self.canvas = denoiser, canvas
        self.store: Layers = []
        self.made: Layers = []
        self.layout: Layout | None = None
        self.start: Tensor | None = None
        self.ended: Tensor | None = None

    def forward(self, ask: Ask) -> Answer:
        """The prompt and the first window at first, packed states ever after."""
        if self.start is None:
            answer = self._prefill(ask)
        else:
            self._keep(ask.start)
            answer = self._packed(ask)
        self.start = ask.start
        return answer

    def settle(self, node: Tensor) -> None:
        """Remember the accepted states; whether they finished a block shows at the next host read."""
        self.ended = node

    def _prefill(self, ask: Ask) -> Answer:
        canvas = self.canvas
        size = min(canvas.end, int(ask.start.max()) + canvas.width)
        where = ask.wanted.nonzero()
        row, column = to_device(canvas.ids.device, where[:, 0], ask.start[where[:, 0]] + where[:, 2])
        positions = canvas.positions[:, :size]
        visible = visibility(positions, canvas.blocks[:, :size], sees_future=False)
        made: Layers = []
        logits = self.denoiser.logits(canvas.ids[:, :size], positions, visible, row, column, new=made)
        spare = canvas.ids.shape[1] - size
        self.store = [tuple(torch.nn.functional.pad(part, (0, 0, 0, spare)) for part in layer) for layer in made]
        tokens = torch.full_like(ask.start, size)
        return Answer(logits, tokens, tokens)

    def _keep(self, start: Tensor) -> None:
        """Copy the K/V of the blocks that the last walks finished into the store."""
        if self.layout is None:
            return
        finished = (start > self.start).nonzero()[:, 0]
        width, (finished,) = self.canvas.width, to_device(self.canvas.ids.device, finished)
        offset = torch.arange(width, device=finished.device)
        slot = self.layout.slot[finished, self.ended[finished]]
        source = (slot[:, None] * width + offset)[:, None, :, None]
        target = (self.canvas.start[finished, None] - width + offset)[:, None, :, None]
        row = self.layout.row[finished]
        for kept, made in zip(self.store, self.made):
            for into, part in zip(kept, made):
                shape = (-1, part.shape[1], -1, part.shape[3])
                block = part[row].gather(2, source.expand(shape))
                into[finished] = into[finished].scatter(2, target.expand(shape), block)

    def _packed(self, ask: Ask) -> Answer:
        canvas, width = self.canvas, self.canvas.width
        layout, slot, counts = self._lay_out(ask)
        tokens, positions, real = self._fill(ask.tokens, layout)
        past = int(ask.start[counts > 0].max())
        rows = layout.sequence
        seen = (torch.arange(past, device=rows.device) < canvas.start[rows, None]) & (canvas.positions[rows, :past] >= 0)
        same = layout.node[:, :, None] == layout.node[:, None, :]
        packed = (same & (layout.ahead[:, :, None] >= layout.ahead[:, None, :])).repeat_interleave(width, 1)
        packed = packed.repeat_interleave(width, 2) & real[:, None, :]
        seen = seen[:, None, :].expand(-1, packed.shape[1], -1)
        where = ask.wanted.nonzero()
        segment = (slot + ask.complete)[where[:, 0], where[:, 1]]
        number = torch.zeros(len(counts), dtype=torch.long)
        number[counts > 0] = torch.arange(int((counts > 0).sum()))
        row, column = to_device(rows.device, number[where[:, 0]], segment * width + where[:, 2])
        self.made, self.layout = [], layout
        stored = [(keys[rows, :, :past], values[rows, :, :past]) for keys, values in self.store]
        visible = torch.cat([seen, packed], -1)[:, None]
        logits = self.denoiser.logits(tokens, positions, visible, row, column, stored, self.made)
        return Answer(logits, counts * width, counts * width + ask.start * (counts > 0))

    def _lay_out(self, ask: Ask) -> tuple[Layout, Tensor, Tensor]:
        """The layout, and on the host each state's segment `[S, N]` and each sequence's number of segments `[S]`."""
        needed = ask.wanted.any(-1)
        size = needed.long() + (needed & ask.complete)
        slot, counts = size.cumsum(1) - size, size.sum(1)
        active = counts.nonzero()[:, 0]
        row = torch.zeros_like(counts)
        row[active] = torch.arange(len(active))
        node = torch.full((len(active), int(counts.max())), -1)
        ahead = torch.zeros_like(node)
        for part, mask in ((0, needed), (1, needed & ask.complete)):
            sequence, number = mask.nonzero().unbind(1)
            segment = slot[sequence, number] + part
            node[row[sequence], segment] = number
            ahead[row[sequence], segment] = part
        layout = Layout(*to_device(self.canvas.ids.device, active, node, ahead, slot, row))
        return layout, slot, counts

    def _fill(self, nodes: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
        """Token ids, positions and which keys exist, each `[A, K * W]`."""
        canvas = self.canvas
        own = nodes[layout.sequence[:, None], layout.node.clamp(min=0)]
        following, _ = canvas.window(ahead=1)
        tokens = torch.where(layout.ahead[..., None] == 1, following[layout.sequence][:, None], own)
        columns = canvas.columns()[layout.sequence][:, None] + canvas.width * layout.ahead[..., None]
        positions = columns - canvas.pad[layout.sequence, None, None]
        return tokens.flatten(1), positions.flatten(1), (columns < canvas.end).flatten(1)
