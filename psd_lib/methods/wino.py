"""WINO (arXiv 2507.18578): commit boldly, look again, and take back what the model doubts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from psd_lib.core.attention import mask
from psd_lib.core.batch import Batch
from psd_lib.core.cache import ForwardRequest, ForwardResult, FullForward, Session, to_device
from psd_lib.core.checks import at_least, probability
from psd_lib.core.described import option
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores, ban, order
from psd_lib.core.strategy import Policy
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.core.config import DecodeConfig


@register
@dataclass(frozen=True)
class Wino(Policy):
    """Commit above `threshold`, and mask again what the model doubts when it cannot see it.

    Wide in: commit positions with confidence above `threshold`, the best one always, at most 0.7
    times what is masked, but no fewer than 5 and no more than 20. Narrow out: a block of masks
    behind the canvas shares the positions of the current block; each of them sees everything but
    its own twin, so it says what the model thinks of a decided token given all others. When a step
    commits more than one position, earlier commits of the block whose token gets a probability
    below `keep` there are masked again, the lowest first, always fewer than the step before
    committed, so that decoding ends. Strictly above, as in the source. Every call runs a block more
    of query tokens.

    Example, threshold 0.6, keep 0.9, `_` masked; the step before committed 3::

        tokens      [[ 7,  8,  9, _, _, _]]
        hidden      [[.95, .2, .7, ., ., .]]      # probability of the token at its hidden twin
        confidence  [[ .,  .,  ., .8, .7, .1]]
        commit      [[ 0,  0,  0, 1, 1, 0]]
        revoke      [[ 0,  1,  1, 0, 0, 0]]       # two at most
    """

    threshold: float = option("confidence above which a position is committed", 0.6)
    keep: float = option("probability below which a decided token is doubted", 0.9)
    least: int = option("commits that the cap always allows", 5)
    most: int = option("commits that the cap never exceeds", 20)
    name: ClassVar[str] = "wino"
    title: ClassVar[str] = "WINO"
    source: ClassVar[str] = "WINO, arXiv 2507.18578, its code"
    no_stop: ClassVar[str] = "it may take back what the rule has just filled in"
    no_drafts: ClassVar[str] = (
        "it takes commits back, so that a later state does not contain an earlier one"
    )

    def __post_init__(self) -> None:
        probability("threshold", self.threshold)
        probability("keep", self.keep)
        at_least("least", self.least, 1)
        at_least("most", self.most, self.least)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Wide in: return confident positions within the cap."""
        rank = order(scores.confidence, masked)
        cap = (0.7 * masked.sum(-1, keepdim=True)).floor().clamp(self.least, self.most)
        return ((rank == 0) | (scores.confidence > self.threshold) & (rank < cap)) & masked

    def check(self, config: DecodeConfig) -> None:
        """Raise UserError for a cache: what may be taken back must not be stored."""
        if config.cache.name != "none":
            raise UserError(
                f"policy 'wino' cannot be combined with cache {config.cache.name!r}: commits that "
                "may be taken back must not be stored; use cache 'none'."
            )

    def start(self, batch: Batch) -> Policy:
        """Return the rule with the shadow block in every call.

        Raises:
            UserError: the model's predictions are shifted.
        """
        if batch.denoiser.shift:
            raise UserError(
                "policy 'wino' does not fit this model: its predictions are shifted, so the output "
                "that would review a token sees that token; use a model without shift, such as "
                "LLaDA's or SDAR's, or another policy."
            )
        return RunningWino(self, batch)

    @property
    def label(self) -> str:
        """Return the two thresholds, such as `WINO 0.6/0.9`."""
        return f"WINO {self.threshold:g}/{self.keep:g}"


class RunningWino(Policy):
    """`Wino` at work on S sequences.

    `hidden` `[S, W]` is each window token's probability in its twin, `committed` `[S]` how many
    positions the step before committed.
    """

    def __init__(self, rule: Wino, batch: Batch):
        self.rule, self.batch = rule, batch
        shape = (len(batch), batch.canvas.width)
        self.hidden = torch.ones(shape, dtype=torch.float32, device=batch.device)
        self.committed = torch.zeros_like(batch.canvas.start)

    def wrap(self, session: Session, batch: Batch) -> Session:
        """Put the shadow block into every call."""
        return ShadowForward(batch, self)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Wide in."""
        return self.rule.select(scores, masked)

    def revoke(self, commit: Tensor, masked: Tensor) -> Tensor:
        """Narrow out: return doubted commits of earlier steps, bool `[S, W]`."""
        canvas = self.batch.canvas
        columns = canvas.columns()
        own = (columns >= canvas.prompt_end) & (columns < canvas.end) & ~masked
        doubted = own & (self.hidden < self.rule.keep)
        several = commit.sum(-1) > 1
        allowed = torch.where(several, self.committed - 1, 0)
        self.committed = commit.sum(-1)
        return doubted & (order(-self.hidden, doubted) < allowed[:, None])


class ShadowForward(FullForward):
    """Whole canvases with the shadow block behind them, one row per sequence."""

    def __init__(self, batch: Batch, review: RunningWino):
        super().__init__(batch.denoiser, batch.canvas)
        self.batch, self.review = batch, review
        self.request: ForwardRequest | None = None

    def forward(self, request: ForwardRequest) -> ForwardResult:
        """Run one row per sequence, a block longer."""
        self.request = request
        result = super().forward(request)
        extra = self.canvas.width * self.batch.active
        return ForwardResult(result.logits, result.query + extra, result.key + extra)

    def logits(
        self, ids: Tensor, positions: Tensor, visible: Tensor, row: Tensor, column: Tensor
    ) -> Tensor:
        """Return the logits that were asked for; the twins' opinions go to the review."""
        canvas, width, request = self.canvas, self.canvas.width, self.request
        assert request is not None
        active = self.batch.active
        sequence, complete = to_device(
            ids.device, active.nonzero()[:, 0], request.complete[active, 0]
        )
        twin = canvas.columns()[sequence] + width * complete[:, None]
        seen = shadow_visible(visible, twin, canvas.end)
        wide = torch.cat([ids, torch.full_like(twin, canvas.mask_id)], 1)
        places = torch.cat([positions, twin - canvas.pad[sequence, None]], 1)
        rows = torch.arange(len(sequence), device=ids.device).repeat_interleave(width)
        shadow = (ids.shape[1] + torch.arange(width, device=ids.device)).repeat(len(sequence))
        found = self.denoiser.logits(
            wide, places, seen, torch.cat([row, rows]), torch.cat([column, shadow])
        )
        asked, twins = found[: len(row)], found[len(row) :]
        hidden = ban(twins, canvas.mask_id, self.denoiser.vocab_size).softmax(-1)
        standing = request.tokens[sequence, 0].flatten()[:, None]
        self.review.hidden[sequence] = hidden.gather(-1, standing).reshape(len(sequence), width)
        return asked


def shadow_visible(visible: Tensor, twin: Tensor, end: int) -> Tensor:
    """Return `visible` `[R, 1, C, C]` with W shadow queries and keys behind it.

    The result is `[R, 1, C + W, C + W]`. `twin` `[R, W]` are the columns that the shadows stand
    for; those from `end` on do not exist. Nobody but the shadows sees the shadows; a shadow sees
    what its twin sees, without its twin, and all shadows.

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
    return mask(torch.cat([above, torch.cat([below, corner], 2)], 1))
