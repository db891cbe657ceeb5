"""APD (arXiv 2506.00413): an autoregressive model judges the proposals from the left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from psd_lib.core.batch import Batch
from psd_lib.core.cache import scatter_rows
from psd_lib.core.checks import probability
from psd_lib.core.denoiser import SecondModel, model_name
from psd_lib.core.described import option
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores, argmax_lowest
from psd_lib.core.states import Where
from psd_lib.core.strategy import Needs, Policy
from psd_lib.errors import UserError
from psd_lib.methods.left_to_right import left_first
from psd_lib.methods.second_model import RunningModel


@register
@dataclass(frozen=True)
class Judged(Policy):
    """Commit from the left while the proposal stays the choice of diffusion and judge together.

    The masks of the block are filled with the proposed tokens and read by an autoregressive `judge`
    in one call. The two models' log-probabilities are mixed, `ratio` * diffusion + (1 - `ratio`) *
    judge; with the noise of the proposal, if there is any, the mixture's choice must be the
    proposed token. The first mask is committed always, the following ones up to the first
    disagreement. As in the authors' code, but for the reach: theirs looks 100 tokens ahead and
    recomputes a window of 16, ours looks to the end of the block. `judge` is the name of a model or
    a loaded one.

    Example, `_` masked::

        tokens    [[7, _, _, _], [_, _, _, 9]]
        proposal  [[7, 1, 2, 3], [4, 5, 6, 9]]
        mixture   [[., 8, 2, 5], [4, 8, 6, .]]
        commit    [[0, 1, 1, 0], [1, 0, 0, 0]]
    """

    ratio: float = option("weight of the diffusion model in the mixture", 0.7)
    judge: Any = option("name of an autoregressive model, or a loaded one", None, repr=False)
    name: ClassVar[str] = "apd"
    title: ClassVar[str] = "APD"
    source: ClassVar[str] = "APD, arXiv 2506.00413, its code"
    note: ClassVar[str] = (
        "APD: the look-ahead is the block instead of 100 tokens, without a recomputed window of 16."
    )
    no_drafts: ClassVar[str] = "its judge reads one state a step"

    def __post_init__(self) -> None:
        probability("ratio", self.ratio)

    @property
    def needs(self) -> Needs:
        """Ask for the judge."""
        return Needs(second_model="judge")

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the first mask: without a judge nothing more is sure."""
        return masked & (masked.cumsum(-1) <= 1)

    def priority(self, scores: Scores) -> Tensor:
        """Put left before right."""
        return left_first(scores.confidence)

    def check_second_model(self, second: SecondModel) -> None:
        """Raise UserError unless the judge is autoregressive."""
        denoiser = second.denoiser
        if not denoiser.shift or denoiser.sees_future or second.block_length != 1:
            raise UserError(
                f"judge {second.name!r} is not autoregressive; pass a model of the qwen3 family, "
                "such as 'mini-ar'."
            )

    def start(self, batch: Batch) -> Policy:
        """Return the rule with the judge, and with the last call's distributions at hand."""
        return RunningJudged(self, batch)

    @property
    def label(self) -> str:
        """Return ratio and judge, such as `APD 0.7 by mini-ar`."""
        return f"APD {self.ratio:g} by {model_name(self.judge)}"


class RunningJudged(Policy):
    """`Judged` at work: `diffusion` `[S, W, V]` holds the last call's log-probabilities."""

    def __init__(self, rule: Judged, batch: Batch):
        self.rule, self.batch = rule, batch
        self.judge = RunningModel(rule.judge, batch, "judge")
        self.diffusion = torch.zeros(len(batch), batch.canvas.width, 0, device=batch.device)

    def priority(self, scores: Scores) -> Tensor:
        """Put left before right."""
        return self.rule.priority(scores)

    def process_logits(self, logits: Tensor, where: Where) -> Tensor:
        """Keep the distributions; the logits stay as they are."""
        if not self.diffusion.shape[-1]:
            self.diffusion = logits.new_zeros(*self.diffusion.shape[:2], logits.shape[-1])
        self.diffusion[where.sequence, where.offset] = logits.log_softmax(-1)
        return logits

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the first mask, and what follows it up to the first disagreement."""
        disagrees = masked & (self._mixture(scores, masked) != scores.token)
        first = masked & (masked.cumsum(-1) == 1)
        return masked & ((disagrees & ~first).cumsum(-1) == 0)

    def _mixture(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the choice of both models together, int64 `[S, W]`; one call of the judge."""
        batch, canvas, ratio = self.batch, self.batch.canvas, self.rule.ratio
        proposed = torch.where(masked, scores.token, canvas.window()[0])
        logits, sequence = self.judge.logits(proposed, causal=True)
        mixed = ratio * self.diffusion[sequence] + (1 - ratio) * logits.log_softmax(-1)
        # 0 * -inf at banned ids is not a number; they stay banned
        mixed = mixed.nan_to_num(nan=float("-inf"), neginf=float("-inf"))
        if batch.temperature > 0:
            mixed = mixed / batch.temperature + batch.noise(mixed.shape[-1], sequence)
        return scatter_rows(sequence, argmax_lowest(mixed), scores.token.shape)
