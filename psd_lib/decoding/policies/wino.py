"""WINO: commit boldly, look again with the token hidden, and take back what the model would not
repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.binding import refuse_cache
from psd_lib.decoding.caches import Answer, Ask, FullForward, to_device
from psd_lib.decoding.checks import at_least, probability
from psd_lib.decoding.policies.base import ByConfidence
from psd_lib.decoding.scores import Scores, ban, order
from psd_lib.errors import UserError


@dataclass(frozen=True)
class Wino(ByConfidence):
    """Commit above `threshold`, and mask again what the model doubts when it cannot see it (WINO,
    arXiv 2507.18578, code).

    Wide in: positions with confidence above `threshold`, the best one always, at most 0.7 times
    what is masked, but no fewer than 5 and no more than 20. Narrow out: a block of masks behind the
    canvas shares the positions of the current block; each of them sees everything but its own twin,
    so it says what the model thinks of a decided token given all others. When a step commits more
    than one position, earlier commits of the block whose token gets a probability below `keep`
    there are masked again, the lowest first, always fewer than the step before committed, so that
    decoding ends. Strictly above, as in the source. Every call runs a block more of query tokens.

    Example, threshold 0.6, keep 0.9, `_` masked; the step before committed 3::

        tokens      [[ 7,  8,  9, _, _, _]]
        hidden      [[.95, .2, .7, ., ., .]]      # probability of the standing token in the hidden twin
        confidence  [[ .,  .,  ., .8, .7, .1]]
        commit      [[ 0,  0,  0, 1, 1, 0]]
        revoke      [[ 0,  1,  1, 0, 0, 0]]       # two at most
    """

    threshold: float = 0.6
    keep: float = 0.9
    least: int = 5
    most: int = 20
    name: ClassVar[str] = "wino"
    no_stop: ClassVar[str] = "it may take back what the rule has just filled in"
    no_drafts: ClassVar[str] = (
        "it takes commits back, so that a later state does not contain an earlier one"
    )

    def __post_init__(self):
        probability("threshold", self.threshold)
        probability("keep", self.keep)
        at_least("least", self.least, 1)
        at_least("most", self.most, self.least)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Wide in: confident positions within the cap."""
        rank = order(scores.confidence, masked)
        cap = (0.7 * masked.sum(-1, keepdim=True)).floor().clamp(self.least, self.most)
        return ((rank == 0) | (scores.confidence > self.threshold) & (rank < cap)) & masked

    def begin(self, loop) -> WinoReview:
        """With the shadow block in every call. Raises UserError where that is impossible."""
        if loop.config.cache.name != "none":
            raise refuse_cache(
                self.name,
                loop.config.cache.name,
                "commits that may be taken back must not be stored",
            )
        if loop.denoiser.shift:
            raise UserError(
                "policy 'wino' does not fit this model: its predictions are shifted, so the output"
                " that would review a token sees that token; use a model without shift, such as"
                " LLaDA's or SDAR's, or another policy."
            )
        return WinoReview(self, loop)

    @property
    def label(self) -> str:
        """`WINO 0.6/0.9`."""
        return f"WINO {self.threshold:g}/{self.keep:g}"


class WinoReview(ByConfidence):
    """`Wino` at work: `hidden` `[S, W]` is each window token's probability in its twin, `taken`
    `[S]` the last commit.
    """

    def __init__(self, rule: Wino, loop):
        self.rule, self.name, self.loop = rule, rule.name, loop
        canvas = loop.canvas
        self.hidden = torch.ones(len(canvas.ids), canvas.width, device=canvas.ids.device)
        self.taken = torch.zeros_like(canvas.start)
        loop.session = ShadowForward(loop, self)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Wide in."""
        return self.rule.select(scores, masked)

    def revoke(self, commit: Tensor, masked: Tensor) -> Tensor:
        """Narrow out: doubted commits of earlier steps, bool `[S, W]`."""
        columns = self.loop.canvas.columns()
        own = (columns >= self.loop.canvas.prompt_end) & (columns < self.loop.canvas.end) & ~masked
        doubted = own & (self.hidden < self.rule.keep)
        several = commit.sum(-1) > 1
        allowed = torch.where(several, self.taken - 1, 0)
        self.taken = commit.sum(-1)
        return doubted & (order(-self.hidden, doubted) < allowed[:, None])


class ShadowForward(FullForward):
    """Whole canvases with the shadow block behind them; stands between the session and the model."""

    def __init__(self, loop, review: WinoReview):
        super().__init__(loop.denoiser, loop.canvas)
        self.model, self.denoiser, self.review, self.loop = loop.denoiser, self, review, loop
        self.sees_future, self.causal_context = self.model.sees_future, self.model.causal_context
        self.shift = False
        self.complete: Tensor | None = None

    def forward(self, ask: Ask) -> Answer:
        """One row per sequence, a block longer."""
        self.complete, self.tokens = ask.complete[:, 0], ask.tokens[:, 0]
        answer = super().forward(ask)
        extra = self.canvas.width * self.loop.asked
        return Answer(answer.logits, answer.query + extra, answer.key + extra)

    def logits(
        self, ids: Tensor, positions: Tensor, visible: Tensor, row: Tensor, column: Tensor
    ) -> Tensor:
        """Logits of what was asked; the twins' opinions of the decided tokens go to the review."""
        canvas, width = self.canvas, self.canvas.width
        sequence, complete = to_device(
            ids.device, self.loop.asked.nonzero()[:, 0], self.complete[self.loop.asked]
        )
        twin = canvas.columns()[sequence] + width * complete[:, None]
        seen = shadow_visible(visible, twin, canvas.end)
        wide = torch.cat([ids, torch.full_like(twin, canvas.mask_id)], 1)
        places = torch.cat([positions, twin - canvas.pad[sequence, None]], 1)
        rows = torch.arange(len(sequence), device=ids.device).repeat_interleave(width)
        shadow = (ids.shape[1] + torch.arange(width, device=ids.device)).repeat(len(sequence))
        found = self.model.logits(
            wide, places, seen, torch.cat([row, rows]), torch.cat([column, shadow])
        )
        asked, hidden = found[: len(row)], found[len(row) :]
        hidden = ban(hidden, canvas.mask_id, self.model.vocab_size).softmax(-1)
        standing = self.tokens[sequence].flatten()[:, None]
        self.review.hidden[sequence] = hidden.gather(-1, standing).reshape(len(sequence), width)
        return asked


def shadow_visible(visible: Tensor, twin: Tensor, end: int) -> Tensor:
    """`visible` `[R, 1, C, C]` with W shadow queries and keys behind it, `[R, 1, C + W, C + W]`.

    `twin` `[R, W]` are the columns that the shadows stand for; those from `end` on do not exist.
    Nobody but the shadows sees the shadows; a shadow sees what its twin sees, without its twin, and
    all shadows.

    Example, C 3, twins 1 and 2, everything visible, query rows from the top::

        1 1 1 . .
        1 1 1 . .
        1 1 1 . .
        1 . 1 1 1
        1 1 . 1 1
    """
    columns, width = visible.shape[-1], twin.shape[1]
    inside = twin.clamp(max=columns - 1)
    below = visible[:, 0].gather(1, inside[..., None].expand(-1, -1, columns))
    below = below & (torch.arange(columns, device=twin.device) != twin[..., None])
    corner = (twin < end)[:, None].expand(-1, width, -1)
    right = torch.zeros(len(twin), columns, width, dtype=torch.bool, device=twin.device)
    above = torch.cat([visible[:, 0], right], 2)
    return torch.cat([above, torch.cat([below, corner], 2)], 1)[:, None]
