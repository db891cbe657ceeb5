"""The Denoiser: token ids of guessed states in, logits of the asked positions out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from psd_lib.models.families import Family


class NetworkDenoiser:
    """A stock transformers decoder run with the family's attention, see `psd_lib.decoding.caches.Denoiser`.

    `vocab_size` counts the rows that the tokenizer uses. Only the asked positions go through `lm_head`.
    """

    def __init__(self, network: nn.Module, family: Family, mask_id: int, eos_ids: tuple[int, ...], vocab_size: int):
        self.network, self.family = network.eval(), family
        self.mask_id, self.eos_ids, self.vocab_size = mask_id, eos_ids, vocab_size
        self.sees_future = family.sees_future

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @torch.inference_mode()
    def logits(self, ids: Tensor, positions: Tensor, blocks: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Raw logits `[n, V]` at (`row`, `column`) of the states `ids` `[R, C]`; see `Request` for the other shapes."""
        hidden = self.network.model(
            input_ids=ids,
            attention_mask=visibility(positions, blocks, self.sees_future),
            position_ids=positions.clamp(min=0),
            use_cache=False,
        ).last_hidden_state
        return self.network.lm_head(hidden[row, column - int(self.family.shift)])


def visibility(positions: Tensor, blocks: Tensor, sees_future: bool) -> Tensor:
    """Which key each query may see, bool `[R, 1, C, C]` (4-D, as stock classes pass such masks on unchanged).

    Keys at padding (negative position) are seen by nobody; padding queries see every real key, since a query without a
    key is undefined in some kernels. Block-causal: a query sees its own block and everything before it.

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
