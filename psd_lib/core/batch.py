"""A batch: what a strategy may see of the sequences that are being decoded together."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from psd_lib.core.canvas import Canvas
from psd_lib.core.denoiser import Denoiser
from psd_lib.core.scores import position_gumbel
from psd_lib.core.trace import Call, Recorder


@dataclass
class Batch:
    """S sequences on one canvas. Strategies read it; only the engine changes it.

    `seeds` int64 `[S]` are the noise seeds of the prompts and `temperature` the run's; `active`
    bool `[S]` on the host says who took part in the last call; `iteration` counts from 0; `detail`
    says whether scores have margin, entropy and gap.
    """

    denoiser: Denoiser
    canvas: Canvas
    seeds: Tensor
    temperature: float
    recorder: Recorder
    active: Tensor
    iteration: int = 0
    detail: bool = False

    def __len__(self) -> int:
        return len(self.seeds)

    def sequences(self) -> Tensor:
        """Return the numbers of the sequences that took part in the last call, int64 `[A]`."""
        return self.active.nonzero()[:, 0].to(self.device, non_blocking=True)

    def second_call(self, kind: str, model: str) -> AbstractContextManager[Call]:
        """Enter a call of a second model, over all active sequences, into the ledger.

        The caller sets `query` and `key` of what it gets, int64 `[S]` on the host.
        """
        return self.recorder.call(kind, self.active[:, None], model)

    def noise(self, vocab: int, sequence: Tensor | None = None, stream: int = 0) -> Tensor:
        """Return Gumbel noise `[A, W, V]` for the windows of `sequence` `[A]`, all unless given.

        Stream 0 is the noise of the target's proposals, the same at every step; any other stream
        is noise of its own.
        """
        columns = self.canvas.columns() - self.canvas.pad[:, None]
        seeds = self.seeds + 0x51ED27 * stream
        if sequence is not None:
            columns, seeds = columns[sequence], seeds[sequence]
        return position_gumbel(seeds[:, None].expand_as(columns), columns, vocab)

    @property
    def device(self) -> torch.device:
        """Return where the tensors are."""
        return self.canvas.ids.device
