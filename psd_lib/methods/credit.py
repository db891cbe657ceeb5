"""Credit decoding (arXiv 2510.06133): tokens that keep winning win sooner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.core.batch import Batch
from psd_lib.core.checks import non_negative, probability
from psd_lib.core.described import option
from psd_lib.core.policies import Threshold
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores, argmax_lowest
from psd_lib.core.states import Where
from psd_lib.core.strategy import Policy


@register
@dataclass(frozen=True)
class Credit(Threshold):
    """Decode by threshold on logits that credit tokens for having been the best before.

    Rule as in dInfer's code. Every position of the block keeps a credit C per token. A step
    multiplies C by `decay`, adds confidence ** `power` to the best token's, and decides on logits +
    `weight` * log(1 + C), which changes both the proposed token and its confidence.

    Example, weight 0.7, power 0.2: a token with confidence 0.5 in a block's first two steps has the
    credit 0.87, then 0.8 * 0.87 + 0.87 = 1.57, and its logit is raised by 0.66.
    """

    weight: float = option("weight of the log credits", 0.7)
    power: float = option("power of a best token's confidence", 0.2)
    decay: float = option("what is left of a credit after a step", 0.8)
    name: ClassVar[str] = "credit"
    title: ClassVar[str] = "Credit"
    source: ClassVar[str] = "Credit decoding, arXiv 2510.06133, as in dInfer"
    no_drafts: ClassVar[str] = "its credits grow with every step, which drafts would skip"

    def __post_init__(self) -> None:
        super().__post_init__()
        non_negative("weight", self.weight)
        non_negative("power", self.power)
        probability("decay", self.decay)

    def start(self, batch: Batch) -> Policy:
        """Return the rule with a memory of the batch's sequences."""
        return RunningCredit(self, batch)


class RunningCredit(Policy):
    """`Credit` at work on S sequences: the credits `[S, W, V]` of the current block."""

    def __init__(self, rule: Credit, batch: Batch):
        self.rule = rule
        self.credits = torch.zeros(len(batch), batch.canvas.width, 0, device=batch.device)

    def process_logits(self, logits: Tensor, where: Where) -> Tensor:
        """Update the credits and raise the logits by them."""
        sequence, offset = where.sequence, where.offset
        if not self.credits.shape[-1]:
            self.credits = logits.new_zeros(*self.credits.shape[:2], logits.shape[-1])
        earned = (
            self.credits[sequence, offset].masked_fill(where.next_block[:, None], 0.0)
            * self.rule.decay
        )
        best_token = argmax_lowest(logits)[:, None]
        gain = logits.softmax(-1).gather(-1, best_token) ** self.rule.power
        earned = earned.scatter_add(-1, best_token, gain)
        self.credits[sequence, offset] = earned
        return logits + self.rule.weight * (1 + earned).log()

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the threshold rule's choice; the scores are already those of the raised logits."""
        return self.rule.select(scores, masked)
