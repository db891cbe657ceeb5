"""The denoiser: token ids of guessed states in, logits of asked positions out."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from psd_lib.core.denoiser import Layers
from psd_lib.models.families import Family


class NetworkDenoiser:
    """Run a stock transformers decoder with its family's attention.

    Implements `psd_lib.core.denoiser.Denoiser`. `vocab_size` is the number of ids that may be
    chosen: the tokenizer's largest id + 1. Only the asked positions go through the output head.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        family: Family,
        mask_id: int,
        eos_ids: tuple[int, ...],
        vocab_size: int,
    ):
        self.network = network.eval()
        self.family = family
        self.mask_id, self.eos_ids, self.vocab_size = mask_id, eos_ids, vocab_size
        self.sees_future = family.sees_future
        self.causal_context = family.causal_context
        self.shift = family.shift
        self.absolute_blocks = family.absolute_blocks
        self._cache_argument = cache_argument(network)

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
        """Return raw logits `[n, V]` at (`row`, `column`) of `ids` `[R, Q]`.

        Shapes and meaning of the arguments are those of
        `psd_lib.core.denoiser.Denoiser.logits`.

        Raises:
            TypeError: the stock class would not treat `visible` as a mask.
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
        cache: dict[str, Any] = {}
        if stored is not None or new is not None:
            cache[self._cache_argument] = Feed(stored, [] if new is None else new)
        hidden = self.network.base_model(
            input_ids=ids,
            attention_mask=visible,
            position_ids=positions.clamp(min=0),
            use_cache=False,
            **cache,
        ).last_hidden_state
        head = self.network.get_output_embeddings()
        return head(hidden[row, column - int(self.shift)])


class Feed:
    """The part of a transformers cache that attention layers use.

    It puts stored keys and values before the new ones and notes the new ones. `update` is what
    layers call; some versions of transformers also ask for the length before the first layer.
    """

    def __init__(self, stored: Layers | None, new: Layers):
        self.stored, self.new = stored, new

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many columns are stored."""
        return self.stored[layer_idx][0].shape[2] if self.stored else 0

    def update(
        self, keys: Tensor, values: Tensor, layer: int, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Return the keys and values that a layer's queries see.

        `keys` and `values` `[R, H, Q, D]` are the layer's own; layers call this once each, in
        order.
        """
        self.new.append((keys, values))
        if not self.stored:
            return keys, values
        before_keys, before_values = self.stored[layer]
        return torch.cat((before_keys, keys), 2), torch.cat((before_values, values), 2)


def cache_argument(network: PreTrainedModel) -> str:
    """Return the name under which a network takes a cache: it changes in transformers 5.24."""
    accepted = inspect.signature(type(network.base_model).forward).parameters
    return "cache" if "cache" in accepted else "past_key_values"
