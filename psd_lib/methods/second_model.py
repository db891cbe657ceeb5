"""A second model beside the target, an AR judge or a draft model, at work on the same batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from psd_lib.core.attention import block_numbers, visibility
from psd_lib.core.batch import Batch
from psd_lib.core.scores import ban
from psd_lib.errors import UserError


class RunningModel:
    """Calls of a second model on whole canvases; the ledger counts them apart.

    Raises:
        UserError: the model is still a name, not a loaded model.
    """

    def __init__(self, model: Any, batch: Batch, role: str):
        if model is None or isinstance(model, str):
            raise UserError(
                f"the {role} model is not loaded: decode through psd_lib.generate, which loads it, "
                "or give a loaded model."
            )
        self.model, self.batch, self.role = model, batch, role

    def logits(self, state: Tensor, causal: bool = False) -> tuple[Tensor, Tensor]:
        """Return banned float32 logits `[A, W, V]` of the A active sequences, and their numbers.

        `state` `[S, W]` are window contents; `causal` reads them with causal attention.
        """
        batch, canvas, denoiser = self.batch, self.batch.canvas, self.model.denoiser
        sequence, columns, size = batch.sequences(), canvas.columns(), canvas.end
        ids = canvas.ids.scatter(1, columns, state)[sequence, :size]
        positions = canvas.positions[sequence, :size]
        if causal:
            blocks = torch.arange(size, device=ids.device).expand_as(positions)
        else:
            blocks = block_numbers(denoiser, canvas, sequence, canvas.start[sequence], size)
        visible = visibility(positions, blocks, denoiser.sees_future and not causal)
        row = torch.arange(len(sequence), device=ids.device).repeat_interleave(canvas.width)
        column = columns[sequence].clamp(max=size - 1).flatten()
        with batch.second_call(self.role, self.model.name) as call:
            call.query = call.key = batch.active * canvas.real(size)
            logits = denoiser.logits(ids, positions, visible, row, column)
        logits = ban(logits, canvas.mask_id, denoiser.vocab_size)
        return logits.reshape(len(sequence), canvas.width, -1), sequence
