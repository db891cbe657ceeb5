"""The model as the core sees it: token ids of guessed states in, logits of asked positions out."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

Layers = list[tuple[Tensor, Tensor]]


class Denoiser(Protocol):
    """What decoding needs of a model; `psd_lib.models` has the one for stock transformers classes.

    `sees_future`: attention is fully bidirectional; otherwise a position sees its own block and
    everything before it. `causal_context`: only the block being decoded is bidirectional,
    everything before it sees no further than itself. `shift`: the prediction for a position is the
    output at the position before it. `absolute_blocks`: blocks are counted from position 0 instead
    of from the prompt's end.
    """

    mask_id: int
    eos_ids: tuple[int, ...]
    vocab_size: int
    sees_future: bool
    causal_context: bool
    shift: bool
    absolute_blocks: bool

    @property
    def device(self) -> torch.device:
        """Return where the weights are."""

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
        """Return raw logits `[n, V]` at (`row`, `column`) of `ids` `[R, Q]` at `positions`.

        The shift is applied: with it, what is asked about column c is read at column c - 1 of the
        same row. `visible` bool `[R, 1, Q, K]` says which key each query sees. `stored` holds
        earlier keys and values per layer, `[R, H, C, D]` each, that come before the Q own ones;
        `new`, if given, receives the own ones.
        """


@runtime_checkable
class SecondModel(Protocol):
    """A loaded model beside the target, an AR judge or a draft model (`psd_lib.models.Model`)."""

    @property
    def name(self) -> str:
        """Return the name that rows have for it."""

    @property
    def denoiser(self) -> Any:
        """Return its `Denoiser`."""

    @property
    def block_length(self) -> int:
        """Return the block length that it was trained with."""


def model_name(value: Any) -> Any:
    """Return the name of a loaded model; a name, or None, is what it is."""
    return value.name if isinstance(value, SecondModel) else value
