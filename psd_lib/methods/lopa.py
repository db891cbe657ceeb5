"""LoPA (arXiv 2512.16229), reconstructed: branches of one more position, the surest goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from psd_lib.core.checks import at_least
from psd_lib.core.described import option
from psd_lib.core.policies import Threshold
from psd_lib.core.registry import Decoder, register, register_decoder
from psd_lib.core.scores import argmax_lowest, order
from psd_lib.core.states import Drafts, Path, Verified
from psd_lib.core.strategy import Step
from psd_lib.methods.branching import Best, Branches, jump


@register
@dataclass(frozen=True)
class Lookahead(Branches):
    """Draft the anchor (node 0) and `k` branches, each with one more of the most confident masks.

    Example, k = 2, `_` masked::

        anchor        [[7, _, _, _], [7, 8, _, 9]]
        stale token   [[7, 1, 2, 3], [7, 8, 4, 9]]
        confidence    [[., .3, .6, .5], [., ., .2, .]]
        node 1        [[7, _, 2, _], [7, 8, 4, 9]]
        node 2        [[7, _, _, 3], not valid   ]
    """

    k: int = option("branches beside the policy's step", 3)
    name: ClassVar[str] = "lookahead"
    note: ClassVar[str] = (
        "LoPA reconstructed: the anchor is the policy's step; k branches commit one of the k most "
        "confident remaining positions more; one call scores anchor and branches by the mean "
        "confidence of what stays masked (1 if nothing); the best goes on. LoPA's scripts score by "
        "entropy and cache a block only when the anchor completed it."
    )

    def __post_init__(self) -> None:
        at_least("k", self.k, 0)

    @property
    def depth(self) -> int:  # type: ignore[override]
        """Return the number of guessed states above node 0."""
        return self.k

    def draft(self, step: Step) -> Drafts:
        """Return the anchor and its branches, N = k + 1."""
        rank = order(step.scores.confidence, step.masked)
        node = torch.arange(self.k + 1, device=step.node0.device)
        filled = (rank[:, None] == node[:, None] - 1) & step.masked[:, None]
        tokens = torch.where(filled, step.scores.token[:, None], step.node0[:, None])
        valid = node <= step.masked.sum(-1, keepdim=True)
        return Drafts(tokens, valid, (node > 0).long().expand(len(step.node0), -1))


@register
@dataclass(frozen=True)
class BestMean(Best):
    """Go to the state with the highest mean confidence over what stays masked, node 0 included.

    A state with nothing left to decide scores 1.

    Example, `_` masked: node 0 [_, _, _] with confidences .4 .5 .6 scores .5; node 1 [_, 3, _] with
    .8, .4 scores .6 and is taken.
    """

    name: ClassVar[str] = "best_mean"
    note: ClassVar[str] = (
        "Goes on from the state with the highest mean confidence over what stays masked."
    )

    def accept(self, drafts: Drafts, verified: Verified) -> Path:
        """Return node 0, then the best state if that is another one."""
        masked, live = verified.masked, verified.live
        mean = (verified.scores.confidence * masked).sum(-1) / masked.sum(-1).clamp(min=1)
        value = torch.where(live, mean, 1.0).masked_fill(~drafts.valid, -1.0)
        return jump(torch.where(live[:, 0], argmax_lowest(value), 0), drafts)


register_decoder(
    "lopa",
    Decoder(
        Threshold(),
        Lookahead(),
        BestMean(),
        options=("policy", "drafter"),
        title="LoPA",
        source="LoPA, arXiv 2512.16229, reconstructed",
    ),
)
