"""APD: an autoregressive model judges the diffusion model's proposals from the left."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.caches import visibility
from psd_lib.decoding.checks import probability
from psd_lib.decoding.policies.ranked import LeftToRight
from psd_lib.decoding.scores import Scores, argmax_lowest, ban, position_gumbel
from psd_lib.errors import UserError


@dataclass(frozen=True)
class Judged:
    """Commit from the left while the proposal stays the choice of diffusion and judge together
    (APD, arXiv 2506.00413).

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

    ratio: float = 0.7
    judge: Any = field(default=None, repr=False)
    name: ClassVar[str] = "apd"
    note: ClassVar[str] = (
        "APD: the look-ahead is the block instead of 100 tokens, without a recomputed window of 16."
    )
    no_drafts: ClassVar[str] = "its judge reads one state a step"

    def __post_init__(self):
        probability("ratio", self.ratio)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Without a judge: the first mask."""
        return LeftToRight().select(scores, masked)

    def priority(self, scores: Scores) -> Tensor:
        """Left before right."""
        return LeftToRight().priority(scores)

    def attach(self, model) -> Judged:
        """With the judge loaded. Raises UserError where it is missing, not autoregressive, or of
        another tokenizer.
        """
        from psd_lib.models.companions import companion

        if self.judge is None:
            raise UserError(
                "decoder 'apd' needs an autoregressive model as its judge: pass judge=NAME, such as"
                " judge='mini-ar'."
            )
        judge = companion(model, self.judge, "judge")
        if not judge.denoiser.shift or judge.denoiser.sees_future or judge.block_length != 1:
            raise UserError(
                f"judge {judge.name!r} is not autoregressive; pass a model of the qwen3 family,"
                " such as 'mini-ar'."
            )
        return replace(self, judge=judge)

    def begin(self, loop) -> Judging:
        """With the diffusion model's distributions of the last call at hand."""
        if not hasattr(self.judge, "denoiser"):
            raise UserError(
                "policy 'apd' needs its judge loaded: decode through psd_lib.generate, or call"
                " attach(model) first."
            )
        return Judging(self, loop)

    def describe(self) -> dict:
        """The ratio and the judge's name."""
        return {"ratio": self.ratio, "judge": getattr(self.judge, "name", self.judge)}

    @property
    def label(self) -> str:
        """`APD 0.7 by mini-ar`."""
        return f"APD {self.ratio:g} by {getattr(self.judge, 'name', self.judge)}"


class Judging:
    """`Judged` at work: `diffusion` `[S, W, V]` holds the last call's log-probabilities."""

    def __init__(self, rule: Judged, loop):
        self.rule, self.name, self.loop = rule, rule.name, loop
        self.priority = rule.priority
        self.diffusion: Tensor | None = None

    def observe(self, logits: Tensor, sequence: Tensor, offset: Tensor, fresh: Tensor) -> Tensor:
        """Keep the distributions; the logits stay as they are."""
        if self.diffusion is None:
            self.diffusion = logits.new_zeros(*self.loop.canvas.columns().shape, logits.shape[-1])
        self.diffusion[sequence, offset] = logits.log_softmax(-1)
        return logits

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """The first mask, and what follows it up to the first disagreement."""
        disagrees = masked & (self._mixture(scores, masked) != scores.token)
        first = masked & (masked.cumsum(-1) == 1)
        return masked & ((disagrees & ~first).cumsum(-1) == 0)

    def _mixture(self, scores: Scores, masked: Tensor) -> Tensor:
        """The choice of both models together, int64 `[S, W]`; one call of the judge over the
        sequences still decoding.
        """
        loop, canvas, judge = self.loop, self.loop.canvas, self.rule.judge.denoiser
        sequence = loop.asked.nonzero()[:, 0].to(canvas.ids.device)
        columns, width = canvas.columns(), canvas.width
        proposed = torch.where(masked, scores.token, canvas.ids.gather(1, columns))
        ids = canvas.ids.scatter(1, columns, proposed)[sequence, : canvas.end]
        positions = canvas.positions[sequence, : canvas.end]
        visible = visibility(
            positions,
            torch.arange(canvas.end, device=ids.device).expand_as(positions),
            sees_future=False,
        )
        row = torch.arange(len(sequence), device=ids.device).repeat_interleave(width)
        column = columns[sequence].clamp(max=canvas.end - 1).flatten()
        with loop.recorder.call("judge", loop.asked[:, None], model=self.rule.judge.name) as call:
            call.query = call.key = loop.asked * canvas.real(canvas.end)
            logits = judge.logits(ids, positions, visible, row, column)
        opinion = (
            ban(logits, canvas.mask_id, judge.vocab_size)
            .log_softmax(-1)
            .reshape(len(sequence), width, -1)
        )
        mixed = self.rule.ratio * self.diffusion[sequence] + (1 - self.rule.ratio) * opinion
        # 0 * -inf at banned ids is not a number; they stay banned
        mixed = mixed.nan_to_num(nan=float("-inf"), neginf=float("-inf"))
        if loop.config.temperature > 0:
            place = columns[sequence] - canvas.pad[sequence, None]
            noise = position_gumbel(
                loop.seeds[sequence, None].expand_as(place), place, mixed.shape[-1]
            )
            mixed = mixed / loop.config.temperature + noise
        found = torch.zeros_like(scores.token)
        found[sequence] = argmax_lowest(mixed)
        return found
