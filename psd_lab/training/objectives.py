"""Training objectives: next tokens, or masked diffusion with block-causal or full attention.

Block diffusion after BD3-LM (Arriola et al. 2025) and SDAR: blocks are aligned to absolute position
0, a block sees itself in full and every earlier block clean. The prediction for a position is read
at that position, or, with `shift` (Dream), at the position before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from psd_lab.training.batches import Batch
from psd_lab.training.states import State, answer_weights

PROMPT_WEIGHT = 0.1


@dataclass(frozen=True)
class Loss:
    """Sum of the weighted cross entropies, and the weight to divide it by (both scalars)."""

    total: torch.Tensor
    weight: torch.Tensor


def next_token_loss(model: PreTrainedModel, batch: Batch) -> Loss:
    """Return the causal loss: answers weigh 1, prompts and end-of-text after the first 0.1."""
    width = batch.ids.shape[1]
    at = torch.arange(width, device=batch.ids.device)
    mask = (at[:, None] >= at[None, :])[None, None].expand(len(batch.ids), -1, -1, -1)
    hidden = model.model(
        input_ids=batch.ids,
        attention_mask=mask,
        position_ids=at[None].expand_as(batch.ids),
        use_cache=False,
    ).last_hidden_state
    weights = answer_weights(batch)
    weights = torch.where(at[None] < batch.prompts[:, None], PROMPT_WEIGHT, weights)[:, 1:]
    logits = model.lm_head(hidden[:, :-1]).float()
    losses = F.cross_entropy(logits.flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="none")
    return Loss((losses * weights.flatten()).sum(), weights.sum())


def two_stream_mask(noisy: torch.Tensor, clean: torch.Tensor, block: int) -> torch.Tensor:
    """Return the attention mask [R, 1, N + C, N + C] (True = visible) of two streams.

    Their positions are `noisy` [R, N] and `clean` [R, C].

    A noisy position sees its own noisy block and the clean blocks before it; a clean position sees
    the clean blocks up to and including its own.
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


def block_diffusion_loss(
    model: PreTrainedModel,
    batch: Batch,
    state: State,
    block: int,
    mask_id: int,
    shift: bool = False,
) -> Loss:
    """Return the block-causal loss of the masked answer positions.

    `batch.ids` must be a whole number of blocks wide. With `shift` the first position of a block is
    predicted from the clean position before it, as when decoding.
    """
    width = batch.ids.shape[1]
    start = batch.prompts // block * block
    span = int((width - start).max())
    noisy = start[:, None] + torch.arange(span, device=batch.ids.device)[None]
    read = noisy.clamp(max=width - 1)
    target, masked = batch.ids.gather(1, read), state.masked.gather(1, read) & (noisy < width)
    clean = torch.arange(width, device=batch.ids.device)[None].expand_as(batch.ids)
    hidden = model.model(
        input_ids=torch.cat([torch.where(masked, mask_id, target), batch.ids], dim=1),
        attention_mask=two_stream_mask(noisy, clean, block),
        position_ids=torch.cat([noisy, clean], dim=1),
        use_cache=False,
    ).last_hidden_state
    column = torch.arange(span, device=batch.ids.device)[None].expand_as(noisy)
    if shift:
        column = torch.where(noisy % block == 0, span + noisy - 1, column - 1)
    row, at = masked.nonzero(as_tuple=True)
    return _weighted(
        model,
        hidden[row, column[row, at]],
        target[masked],
        state.weights.gather(1, read)[masked],
        batch,
    )


def full_attention_loss(
    model: PreTrainedModel, batch: Batch, state: State, mask_id: int, shift: bool = False
) -> Loss:
    """Return the loss of the masked positions that weigh something, under full attention."""
    width = batch.ids.shape[1]
    hidden = model.model(
        input_ids=torch.where(state.masked, mask_id, batch.ids),
        attention_mask=torch.ones(1, 1, 1, 1, dtype=torch.bool, device=batch.ids.device).expand(
            len(batch.ids), 1, width, width
        ),
        position_ids=torch.arange(width, device=batch.ids.device)[None].expand_as(batch.ids),
        use_cache=False,
    ).last_hidden_state
    row, at = (state.weights > 0).nonzero(as_tuple=True)
    return _weighted(
        model, hidden[row, at - int(shift)], batch.ids[row, at], state.weights[row, at]
    )


def _weighted(
    model: PreTrainedModel,
    hidden: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor,
    batch: Batch | None = None,
) -> Loss:
    """Weighted cross entropies of `hidden` [n, H].

    They are to be divided by the weight of the answers of `batch`, else by the weights' sum.
    """
    losses = F.cross_entropy(model.lm_head(hidden).float(), target, reduction="none")
    return Loss(
        (losses * weights).sum(), weights.sum() if batch is None else answer_weights(batch).sum()
    )
