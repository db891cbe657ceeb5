"""Muon for the matrices inside the layers, AdamW for embeddings, head and norms."""

from __future__ import annotations

import torch


class Optimizers:
    """Muon and AdamW under one learning rate, Muon scaled to the size of AdamW's updates."""

    def __init__(self, model: torch.nn.Module, decay: float = 0.05) -> None:
        matrices = [w for n, w in model.named_parameters() if w.ndim == 2 and ".layers." in n]
        others = [w for n, w in model.named_parameters() if not (w.ndim == 2 and ".layers." in n)]
        self.parts = [
            torch.optim.Muon(matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0),
        ]

    def step(self, rate: float) -> None:
        """Update every weight once at learning rate `rate`; gradients must be in place."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()

    def state_dict(self) -> list[dict]:
        """Return the states of both optimizers, in a fixed order."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict]) -> None:
        """Restore what `state_dict` returned."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
