"""How a stop rule cuts a policy short."""

from __future__ import annotations

import torch
from torch import Tensor

from psd_lib.core.canvas import Canvas
from psd_lib.core.scores import Scores
from psd_lib.core.states import Where
from psd_lib.core.strategy import Needs, Policy, StopRule


class StoppedPolicy(Policy):
    """A policy that commits everything that is left in the block where a stop rule fires."""

    def __init__(self, policy: Policy, rule: StopRule, canvas: Canvas):
        self.policy, self.rule, self.canvas = policy, rule, canvas

    @property
    def needs(self) -> Needs:
        """Return what the policy needs; the engine asks the rule itself."""
        return self.policy.needs

    def process_logits(self, logits: Tensor, where: Where) -> Tensor:
        """Leave it to the policy."""
        return self.policy.process_logits(logits, where)

    def priority(self, scores: Scores) -> Tensor:
        """Leave it to the policy."""
        return self.policy.priority(scores)

    def revoke(self, commit: Tensor, masked: Tensor) -> Tensor | None:
        """Leave it to the policy."""
        return self.policy.revoke(commit, masked)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return everything where the rule fires, the policy's choice elsewhere.

        `[S, W]` or `[S, N, W]`.
        """
        fires = self.rule.stop(scores, masked, self._progress(masked))
        return torch.where(fires[..., None], masked, self.policy.select(scores, masked))

    def _progress(self, masked: Tensor) -> Tensor:
        """Return the decided share of gen_length, float `[S]` or `[S, N]`."""
        canvas = self.canvas
        until = (canvas.start + canvas.width).clamp(max=canvas.end) - canvas.prompt_end
        until = until.reshape(-1, *[1] * (masked.dim() - 2))
        return (until - masked.sum(-1)) / (canvas.end - canvas.prompt_end)
