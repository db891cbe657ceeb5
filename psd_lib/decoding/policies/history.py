"""Policies that remember earlier steps of the block: KLASS (is the distribution steady?) and Credit
(who keeps winning?).

Their memory belongs to one batch and lives in the object that `begin` returns; the frozen dataclass
only describes the rule, and without a memory it decides as at a block's first step. Drafts would
skip steps of the history and are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.checks import at_least, probability
from psd_lib.decoding.policies.base import ByConfidence, best
from psd_lib.decoding.policies.thresholds import Threshold, nats
from psd_lib.decoding.scores import Scores, argmax_lowest


@dataclass(frozen=True)
class Klass(ByConfidence):
    """Commit positions that are confident *and* whose distribution has stopped moving (KLASS, arXiv
    2511.05664, its code).

    A position is ready when its confidence is above `threshold` and its last `steps` values of
    KL(now || one step earlier) are all below `divergence` nats; before there are that many in the
    block, none is ready. The ready positions are committed, or the best one when there is none.
    Defaults: the authors' for LLaDA on GSM8K. Strictly above and below, as in the source.

    Example, threshold 0.6, divergence 0.015, steps 1, every distribution as one step earlier but
    the marked ones (*)::

        confidence  [[.7, .8*, .5, .9], [.1, .4, .3, .8*]]
        masked      [[ 1,  1,   1,  0], [ 1,  1,  1,  1 ]]
        commit      [[ 1,  0,   0,  0], [ 0,  0,  0,  1 ]]     # second row: none is ready, so the best one
    """

    threshold: float = 0.6
    divergence: float = 0.015
    steps: int = 2
    name: ClassVar[str] = "klass"
    no_drafts: ClassVar[str] = (
        "it compares each step's distributions with those of the steps before, which drafts would"
        " skip"
    )

    def __post_init__(self):
        probability("threshold", self.threshold)
        nats("divergence", self.divergence)
        at_least("steps", self.steps, 1)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """The first step of a block: nothing is known to be steady, so the best position."""
        return best(scores.confidence, masked)

    def begin(self, loop) -> KlassHistory:
        """With a memory of `loop`'s sequences."""
        return KlassHistory(self, len(loop.seeds), loop.canvas.width)

    @property
    def label(self) -> str:
        """`KLASS 0.6/0.015/2`."""
        return f"KLASS {self.threshold:g}/{self.divergence:g}/{self.steps}"


class KlassHistory(ByConfidence):
    """`Klass` at work on S sequences: the last distribution `[S, W, V]` and the last divergences
    `[S, W, steps]`.
    """

    def __init__(self, rule: Klass, sequences: int, width: int):
        self.rule, self.name = rule, rule.name
        self.shape = (sequences, width)
        self.earlier: Tensor | None = None
        self.divergences: Tensor | None = None

    def observe(self, logits: Tensor, sequence: Tensor, offset: Tensor, fresh: Tensor) -> Tensor:
        """Compare with the step before and remember; the logits stay as they are."""
        now = logits.softmax(-1)
        if self.earlier is None:
            self.earlier = now.new_zeros(*self.shape, now.shape[-1])
            self.divergences = now.new_full((*self.shape, self.rule.steps), float("inf"))
        earlier = self.earlier[sequence, offset]
        unknown = fresh | (earlier.sum(-1) == 0)
        ratio = (now.clamp(min=1e-30).log() - earlier.clamp(min=1e-30).log()).masked_fill(
            now == 0, 0.0
        )
        moved = (now * ratio).sum(-1).masked_fill(unknown, float("inf"))
        past = self.divergences[sequence, offset].masked_fill(unknown[:, None], float("inf"))
        self.divergences[sequence, offset] = torch.cat([past[:, 1:], moved[:, None]], -1)
        self.earlier[sequence, offset] = now
        return logits

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Ready positions, or the best one."""
        steady = (self.divergences < self.rule.divergence).all(-1)
        ready = masked & steady & (scores.confidence > self.rule.threshold)
        return torch.where(ready.any(-1, keepdim=True), ready, best(scores.confidence, masked))


@dataclass(frozen=True)
class Credit(Threshold):
    """Threshold decoding on logits that credit tokens for having been the best before (Credit,
    arXiv 2510.06133).

    Rule as in dInfer's code. Every position of the block keeps a credit C per token. A step
    multiplies C by `decay`, adds confidence ** `power` to the best token's, and decides on logits +
    `weight` * log(1 + C), which changes both the proposed token and its confidence.

    Example, weight 0.7, power 0.2: a token with confidence 0.5 in a block's first two steps has the
    credit 0.87, then 0.8 * 0.87 + 0.87 = 1.57, and its logit is raised by 0.66.
    """

    weight: float = 0.7
    power: float = 0.2
    decay: float = 0.8
    name: ClassVar[str] = "credit"
    no_drafts: ClassVar[str] = "its credits grow with every step, which drafts would skip"

    def __post_init__(self):
        super().__post_init__()
        nats("weight", self.weight)
        nats("power", self.power)
        probability("decay", self.decay)

    def begin(self, loop) -> CreditHistory:
        """With a memory of `loop`'s sequences."""
        return CreditHistory(self, len(loop.seeds), loop.canvas.width)

    @property
    def label(self) -> str:
        """`Credit 0.9/0.7/0.2/0.8`."""
        return f"Credit {self.threshold:g}/{self.weight:g}/{self.power:g}/{self.decay:g}"


class CreditHistory(ByConfidence):
    """`Credit` at work on S sequences: the credits `[S, W, V]` of the current block."""

    def __init__(self, rule: Credit, sequences: int, width: int):
        self.rule, self.name = rule, rule.name
        self.shape = (sequences, width)
        self.credits: Tensor | None = None

    def observe(self, logits: Tensor, sequence: Tensor, offset: Tensor, fresh: Tensor) -> Tensor:
        """Update the credits and raise the logits by them."""
        if self.credits is None:
            self.credits = logits.new_zeros(*self.shape, logits.shape[-1])
        earned = self.credits[sequence, offset].masked_fill(fresh[:, None], 0.0) * self.rule.decay
        best_token = argmax_lowest(logits)[:, None]
        gain = logits.softmax(-1).gather(-1, best_token) ** self.rule.power
        earned = earned.scatter_add(-1, best_token, gain)
        self.credits[sequence, offset] = earned
        return logits + self.rule.weight * (1 + earned).log()

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """The threshold rule; the scores are already those of the raised logits."""
        return self.rule.select(scores, masked)
