"""The model as the decoding core sees it: token ids of guessed states in, logits of the asked
positions out.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

Layers = list[tuple[Tensor, Tensor]]


class Denoiser(Protocol):
    """What decoding needs of a model; `psd_lib.models` has the one for stock transformers classes.

    `sees_future`: attention is fully bidirectional; otherwise a position sees its own block and
    everything before it. `causal_context`: only the block being decoded is bidirectional,
    everything before it sees no further than itself. `shift`: the prediction for a position is the
    output at the position before it.
    """

    mask_id: int
    eos_ids: tuple[int, ...]
    vocab_size: int
    sees_future: bool
    causal_context: bool
    shift: bool

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
        """Raw logits `[n, V]` at (`row`, `column`) of `ids` `[R, Q]` at `positions` `[R, Q]`, the
        shift applied: with it, what is asked about column c is read at column c - 1 of the same
        row.

        `visible` bool `[R, 1, Q, K]` says which key each query sees. `stored` holds earlier keys
        and values per layer, `[R, H, C, D]` each, that come before the Q own ones; `new`, if given,
        receives the own ones.
        """
