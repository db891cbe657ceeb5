"""What is learned: next-token prediction, or the two-stream loss of block-causal masked diffusion.

Block diffusion after BD3-LM (Arriola et al. 2025) and SDAR: blocks are aligned to absolute position 0, a block sees
itself in full and every earlier block clean, and the prediction for a position is read at that position (no shift).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import Qwen3ForCausalLM

from psd_lib.training.batches import Batch

PROMPT_WEIGHT = 0.1
PADDING_WEIGHT = 0.1
BEYOND_WEIGHT = 0.3
HEAVIEST = 8.0


@dataclass(frozen=True)
class Loss:
    """Sum of weighted cross entropies and the sum of weights it is to be divided by (both scalars)."""

    total: torch.Tensor
    weight: torch.Tensor


def next_token_loss(model: Qwen3ForCausalLM, batch: Batch) -> Loss:
    """Causal loss over the row: answers weigh 1, prompts and end-of-text after the first 0.1."""
    width = batch.ids.shape[1]
    at = torch.arange(width, device=batch.ids.device)
    mask = (at[:, None] >= at[None, :])[None, None].expand(len(batch.ids), -1, -1, -1)
    hidden = model.model(
        input_ids=batch.ids, attention_mask=mask, position_ids=at[None].expand_as(batch.ids), use_cache=False
    ).last_hidden_state
    weights = answer_weights(batch)
    weights = torch.where(at[None] < batch.prompts[:, None], PROMPT_WEIGHT, weights)[:, 1:]
    logits = model.lm_head(hidden[:, :-1]).float()
    losses = F.cross_entropy(logits.flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="none")
    return Loss((losses * weights.flatten()).sum(), weights.sum())


def answer_weights(batch: Batch) -> torch.Tensor:
    """Loss weight of every position [R, L]: 0 in the prompt, 1 in the answer, 0.1 for end-of-text after the first."""
    at = torch.arange(batch.ids.shape[1], device=batch.ids.device)[None]
    weights = torch.where(at < batch.lengths[:, None], 1.0, PADDING_WEIGHT)
    return torch.where(at < batch.prompts[:, None], 0.0, weights)


@dataclass(frozen=True)
class State:
    """A noisy copy of the answer blocks: `masked` [R, L] bool, `weights` [R, L] loss weights of the masked positions."""

    masked: torch.Tensor
    weights: torch.Tensor

    def to(self, device: str) -> State:
        """The same state on `device`."""
        return State(self.masked.to(device), self.weights.to(device))


def draw_state(
    batch: Batch, block: int, window_share: float, generator: torch.Generator, hidden_behind: torch.Tensor | None = None
) -> State:
    """Draws which answer positions are masked, for each block of `block` positions on its own.

    A share `window_share` of the blocks shows a semi-autoregressive state: clean up to a random place, a window of
    4, 8 or 16 positions masked at rate t, everything behind it masked; so are, in the window, the positions of
    `hidden_behind` [R, L] bool (numerals: a result that is visible later in the text could be copied from there
    instead of computed). The others are masked at rate t throughout.
    t is stratified over the blocks of the batch. The weights make the loss of a block the weighted mean over its
    masked positions times the block's number of answer tokens (the 1/t weighting with the count instead of its
    expectation), at most `HEAVIEST` per token.
    """
    base = answer_weights(batch)
    rows, width = base.shape
    blocks = width // block
    cells = base.view(rows, blocks, block)
    open_ = cells > 0

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    order = torch.randperm(rows * blocks, generator=generator).view(rows, blocks, 1)
    rate = (order + uniform(rows, blocks, 1)) / (rows * blocks)
    hidden = uniform(rows, blocks, block) < rate

    at = torch.arange(block)
    first = (~open_).sum(-1, keepdim=True)
    start = first + (uniform(rows, blocks, 1) * (block - first)).long()
    size = torch.tensor([4, 8, 16])[torch.randint(3, (rows, blocks, 1), generator=generator)]
    beyond = at >= start + size
    if hidden_behind is not None:
        hidden_window = hidden | hidden_behind.view(rows, blocks, block)
    else:
        hidden_window = hidden
    window = ((at >= start) & hidden_window) | beyond | (at == start)
    windowed = uniform(rows, blocks, 1) < window_share
    masked = torch.where(windowed, window, hidden) & open_
    # A block without a masked position would teach nothing: mask one of its answer positions.
    some = (uniform(rows, blocks, block) * open_).argmax(-1, keepdim=True) == at
    masked = masked | (some & open_ & ~masked.any(-1, keepdim=True))

    local = cells * torch.where(windowed & beyond, BEYOND_WEIGHT, 1.0) * masked
    scale = cells.sum(-1, keepdim=True) / local.sum(-1, keepdim=True).clamp_min(1e-6)
    weights = local * scale.clamp(max=HEAVIEST)
    return State(masked.view(rows, width), weights.view(rows, width))


def two_stream_mask(noisy: torch.Tensor, clean: torch.Tensor, block: int) -> torch.Tensor:
    """Who sees whom, [R, 1, N + C, N + C] bool (True = visible), from positions `noisy` [R, N] and `clean` [R, C].

    A noisy position sees its own noisy block and the clean blocks before it; a clean position sees the clean blocks
    up to and including its own.
    """
    n, c = noisy // block, clean // block
    return torch.cat(
        [
            torch.cat([n[:, :, None] == n[:, None, :], n[:, :, None] > c[:, None, :]], dim=2),
            torch.cat(
                [torch.zeros_like(c[:, :, None] == n[:, None, :]), c[:, :, None] >= c[:, None, :]],
                dim=2,
            ),
        ],
        dim=1,
    )[:, None]


def block_diffusion_loss(model: Qwen3ForCausalLM, batch: Batch, state: State, block: int, mask_id: int) -> Loss:
    """Loss of the masked answer positions; `batch.ids` must be a whole number of blocks wide."""
    start = batch.prompts // block * block
    span = int((batch.ids.shape[1] - start).max())
    noisy = start[:, None] + torch.arange(span, device=batch.ids.device)[None]
    inside = noisy < batch.ids.shape[1]
    read = noisy.clamp(max=batch.ids.shape[1] - 1)
    target, masked = batch.ids.gather(1, read), state.masked.gather(1, read) & inside
    clean = torch.arange(batch.ids.shape[1], device=batch.ids.device)[None].expand_as(batch.ids)
    hidden = model.model(
        input_ids=torch.cat([torch.where(masked, mask_id, target), batch.ids], dim=1),
        attention_mask=two_stream_mask(noisy, clean, block),
        position_ids=torch.cat([noisy, clean], dim=1),
        use_cache=False,
    ).last_hidden_state
    logits = model.lm_head(hidden[:, :span][masked]).float()
    losses = F.cross_entropy(logits, target[masked], reduction="none")
    return Loss((losses * state.weights.gather(1, read)[masked]).sum(), answer_weights(batch).sum())
