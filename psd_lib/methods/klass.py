"""KLASS (arXiv 2511.05664): commit what is confident and steady."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.core.batch import Batch
from psd_lib.core.checks import at_least, non_negative, probability
from psd_lib.core.described import option
from psd_lib.core.policies import best
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores
from psd_lib.core.states import Where
from psd_lib.core.strategy import Policy


@register
@dataclass(frozen=True)
class Klass(Policy):
    """Commit positions that are confident *and* whose distribution has stopped moving.

    Without a memory the rule decides as at the first step of a block.

    A position is ready when its confidence is above `threshold` and its last `steps` values of
    KL(now || one step earlier) are all below `divergence` nats; before there are that many in the
    block, none is ready. The ready positions are committed, or the best one when there is none.
    Defaults: the authors' for LLaDA on GSM8K. Strictly above and below, as in the source.

    Example, threshold 0.6, divergence 0.015, steps 1, every distribution as one step earlier but
    the marked ones (*)::

        confidence  [[.7, .8*, .5, .9], [.1, .4, .3, .8*]]
        masked      [[ 1,  1,   1,  0], [ 1,  1,  1,  1 ]]
        commit      [[ 1,  0,   0,  0], [ 0,  0,  0,  1 ]]     # second row: none is ready
    """

    threshold: float = option("confidence above which a position may be ready", 0.6)
    divergence: float = option("KL divergence below which a distribution is steady, in nats", 0.015)
    steps: int = option("how many steps it must have been steady", 2)
    name: ClassVar[str] = "klass"
    title: ClassVar[str] = "KLASS"
    source: ClassVar[str] = "KLASS, arXiv 2511.05664, its code"
    no_drafts: ClassVar[str] = (
        "it compares each step's distributions with those of the steps before, which drafts would"
        " skip"
    )

    def __post_init__(self) -> None:
        probability("threshold", self.threshold)
        non_negative("divergence", self.divergence)
        at_least("steps", self.steps, 1)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the best position: at a block's first step nothing is known to be steady."""
        return best(scores.confidence, masked)

    def start(self, batch: Batch) -> Policy:
        """Return the rule with a memory of the batch's sequences."""
        return RunningKlass(self, batch)


class RunningKlass(Policy):
    """`Klass` at work on S sequences.

    It remembers the last distribution `[S, W, V]` and the last divergences `[S, W, steps]`.
    """

    def __init__(self, rule: Klass, batch: Batch):
        shape = (len(batch), batch.canvas.width)
        self.rule = rule
        self.earlier = torch.zeros(*shape, 0, device=batch.device)
        self.divergences = torch.full(
            (*shape, rule.steps), float("inf"), dtype=torch.float32, device=batch.device
        )

    def process_logits(self, logits: Tensor, where: Where) -> Tensor:
        """Compare with the step before and remember; the logits stay as they are."""
        sequence, offset = where.sequence, where.offset
        now = logits.softmax(-1)
        if not self.earlier.shape[-1]:
            self.earlier = now.new_zeros(*self.divergences.shape[:2], now.shape[-1])
        earlier = self.earlier[sequence, offset]
        unknown = where.next_block | (earlier.sum(-1) == 0)
        ratio = (now.clamp(min=1e-30).log() - earlier.clamp(min=1e-30).log()).masked_fill(
            now == 0, 0.0
        )
        moved = (now * ratio).sum(-1).masked_fill(unknown, float("inf"))
        past = self.divergences[sequence, offset].masked_fill(unknown[:, None], float("inf"))
        self.divergences[sequence, offset] = torch.cat([past[:, 1:], moved[:, None]], -1)
        self.earlier[sequence, offset] = now
        return logits

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the ready positions, or the best one."""
        steady = (self.divergences < self.rule.divergence).all(-1)
        ready = masked & steady & (scores.confidence > self.rule.threshold)
        return torch.where(ready.any(-1, keepdim=True), ready, best(scores.confidence, masked))
