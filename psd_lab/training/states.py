"""Noisy states of answers: which positions are masked, and what each weighs in the loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from psd_lab.training.batches import Batch

PADDING_WEIGHT = 0.1
BEYOND_WEIGHT = 0.3
HEAVIEST = 8.0


def answer_weights(batch: Batch) -> torch.Tensor:
    """Return loss weights [R, L]: prompts 0, answers 1, end-of-text after the first 0.1."""
    at = torch.arange(batch.ids.shape[1], device=batch.ids.device)[None]
    weights = torch.where(at < batch.lengths[:, None], 1.0, PADDING_WEIGHT)
    return torch.where(at < batch.prompts[:, None], 0.0, weights)


@dataclass(frozen=True)
class State:
    """A noisy copy of the answer blocks.

    `masked` [R, L] bool; `weights` [R, L] are the loss weights of the masked positions.
    """

    masked: torch.Tensor
    weights: torch.Tensor

    def to(self, device: str) -> State:
        """Return the same state on `device`."""
        return State(self.masked.to(device), self.weights.to(device))


def draw_state(
    batch: Batch,
    block: int,
    window_share: float,
    generator: torch.Generator,
    hidden_behind: torch.Tensor | None = None,
) -> State:
    """Draw which answer positions are masked, for each block of `block` positions on its own.

    A share `window_share` of the blocks shows a semi-autoregressive state: clean up to a random
    place, a window of 4, 8 or 16 positions masked at rate t, everything behind it masked; so are,
    in the window, the positions of `hidden_behind` [R, L] bool (numerals: a result that is visible
    later in the text could be copied from there instead of computed). The others are masked at rate
    t throughout. t is stratified over the blocks of the batch. The weights make the loss of a block
    the weighted mean over its masked positions times the block's number of answer tokens (the 1/t
    weighting with the count instead of its expectation), at most `HEAVIEST` per token.
    """
    rows, width = batch.ids.shape
    cells = answer_weights(batch).view(rows, -1, block)
    hidden = None if hidden_behind is None else hidden_behind.view_as(cells)
    masked, weights = _draw(cells, window_share, generator, hidden)
    return State(masked.view(rows, width), weights.view(rows, width))


def draw_one_block(
    batch: Batch,
    block: int,
    window_share: float,
    generator: torch.Generator,
    hidden_behind: torch.Tensor | None = None,
) -> State:
    """Draw the state that a fully bidirectional model meets when it decodes block by block.

    Blocks are counted from the prompt's end. One block of each row is being decoded (drawn by its
    number of answer tokens) and noisy as in `draw_state`; the blocks before it are clean,
    everything behind it is masked and weighs nothing.
    """
    rows, width = batch.ids.shape
    blocks = -(-width // block)
    column = batch.prompts[:, None] + torch.arange(blocks * block)[None]
    inside = column < width
    column = column.clamp(max=width - 1)
    cells = (answer_weights(batch).gather(1, column) * inside).view(rows, blocks, block)
    hidden = None if hidden_behind is None else hidden_behind.gather(1, column).view_as(cells)
    masked, weights = _draw(cells, window_share, generator, hidden)
    current = torch.multinomial(cells.sum(-1), 1, generator=generator)[..., None]
    number = torch.arange(blocks)[None, :, None]
    masked = (masked & (number == current)) | (number > current)
    weights = weights * (number == current)
    # Columns behind the row's end would land on its last column: they go to a column of their own
    # that is cut off.
    target = torch.where(inside, column, width)
    whole = torch.zeros(rows, width + 1)
    return State(
        whole.scatter(1, target, masked.flatten(1).float())[:, :width] > 0,
        whole.scatter(1, target, weights.flatten(1))[:, :width],
    )


def _draw(
    cells: torch.Tensor,
    window_share: float,
    generator: torch.Generator,
    hidden_behind: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask and weights of every block from loss weights `cells` [R, K, B]; see `draw_state`."""
    rows, blocks, block = cells.shape
    open_ = cells > 0

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    order = torch.randperm(rows * blocks, generator=generator).view(rows, blocks, 1)
    rate = (order + uniform(rows, blocks, 1)) / (rows * blocks)
    hidden = uniform(rows, blocks, block) < rate

    at = torch.arange(block)
    first, count = open_.int().argmax(-1, keepdim=True), open_.sum(-1, keepdim=True)
    start = first + (uniform(rows, blocks, 1) * count).long()
    size = torch.tensor([4, 8, 16])[torch.randint(3, (rows, blocks, 1), generator=generator)]
    beyond = at >= start + size
    hidden_window = hidden if hidden_behind is None else hidden | hidden_behind
    window = ((at >= start) & hidden_window) | beyond | (at == start)
    windowed = uniform(rows, blocks, 1) < window_share
    masked = torch.where(windowed, window, hidden) & open_
    # A block without a masked position would teach nothing: mask one of its answer positions.
    some = (uniform(rows, blocks, block) * open_).argmax(-1, keepdim=True) == at
    masked = masked | (some & open_ & ~masked.any(-1, keepdim=True))

    local = cells * torch.where(windowed & beyond, BEYOND_WEIGHT, 1.0) * masked
    scale = cells.sum(-1, keepdim=True) / local.sum(-1, keepdim=True).clamp_min(1e-6)
    weights = local * scale.clamp(max=HEAVIEST)
    return masked, weights
