"""The Denoiser: token ids of guessed states in, logits of the asked positions out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from psd_lib.models.families import Family

Layers = list[tuple[Tensor, Tensor]]


class NetworkDenoiser:
    """A stock transformers decoder run with the family's attention, see
    `psd_lib.decoding.denoiser.Denoiser`.

    `vocab_size` counts the rows that the tokenizer uses. Only the asked positions go through
    `lm_head`.
    """

    def __init__(
        self,
        network: nn.Module,
        family: Family,
        mask_id: int,
        eos_ids: tuple[int, ...],
        vocab_size: int,
    ):
        self.network, self.family = network.eval(), family
        self.mask_id, self.eos_ids, self.vocab_size = mask_id, eos_ids, vocab_size
        self.sees_future, self.causal_context, self.shift = (
            family.sees_future,
            family.causal_context,
            family.shift,
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @torch.inference_mode()
    def logits(
        self,
        ids: Tensor,
        positions: Tensor,
        visible: Tensor,
        row: Tensor,
        column: Tensor,
        stored: Layers | None = None,
        new: Layers | None = None,
    ) -> Tensor:
        """Raw logits `[n, V]` at (`row`, `column`); shapes and meaning as in
        `psd_lib.decoding.denoiser.Denoiser`.
        """
        if (
            visible.dim() != 4
            or visible.dtype != torch.bool
            or self.network.config._attn_implementation != "sdpa"
        ):
            raise TypeError(
                "stock classes obey bool masks only in four dimensions and with sdpa; others are"
                " silently not masks."
            )
        hidden = self.network.model(
            input_ids=ids,
            attention_mask=visible,
            position_ids=positions.clamp(min=0),
            past_key_values=(
                None if stored is None and new is None else Feed(stored, [] if new is None else new)
            ),
            use_cache=False,
        ).last_hidden_state
        return self.network.lm_head(hidden[row, column - int(self.shift)])


class Feed:
    """What stock attention layers need of a cache: put stored keys and values before the new ones,
    and note the new.
    """

    def __init__(self, stored: Layers | None, new: Layers):
        self.stored, self.new = stored, new

    def update(self, keys: Tensor, values: Tensor, layer: int, *_, **__) -> tuple[Tensor, Tensor]:
        """Keys and values `[R, H, Q, D]` of one layer, called once per layer in order; returns what
        its queries see.
        """
        self.new.append((keys, values))
        if not self.stored:
            return keys, values
        return tuple(torch.cat(pair, 2) for pair in zip(self.stored[layer], (keys, values)))
