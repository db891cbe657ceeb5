"""Acceptors that keep the best scored of rival states (LoPA, FDM, ETE): approximate, nothing is
compared with the policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.drafts import DraftBuilder, Drafts
from psd_lib.decoding.policies import Policy
from psd_lib.decoding.scores import Scores, argmax_lowest


class Best:
    """Shared by the acceptors that score every state and go to one; ties go to the lowest node."""

    fidelity: ClassVar[str] = "reconstructed"

    def exact_for(self, policy: Policy, builder: DraftBuilder) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class BestMean(Best):
    """LoPA's choice (arXiv 2512.16229): the state with the highest mean confidence over what stays
    masked, node 0 included.

    A state with nothing left to decide scores 1.

    Example, `_` masked: node 0 [_, _, _] with confidences .4 .5 .6 scores .5; node 1 [_, 3, _] with
    .8, .4 scores .6 and is taken.
    """

    name: ClassVar[str] = "best_mean"
    note: ClassVar[str] = (
        "Goes on from the state with the highest mean confidence over what stays masked."
    )

    def choose(
        self, drafts: Drafts, predicted: Scores, masked: Tensor, targets: Tensor, live: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Node 0, then the best state where that is another one."""
        mean = (predicted.confidence * masked).sum(-1) / masked.sum(-1).clamp(min=1)
        value = torch.where(live, mean, 1.0).masked_fill(~drafts.valid, -1.0)
        return jump(torch.where(live[:, 0], argmax_lowest(value), 0), drafts)


@dataclass(frozen=True)
class Foresight(Best):
    """FDM's choice (arXiv 2512.04135), reconstructed: log confidence of the commit + mean log
    confidence of what stays masked.

    The builder gives the first term (`Drafts.prior`); without it the term is 0. The state replaces
    node 0.

    Example: node 0 commits at .9 and leaves .5 .5: log .9 + log .5 = -0.80; node 1 commits at .8
    and leaves .7 .7: -0.58, and is taken instead of node 0.
    """

    name: ClassVar[str] = "foresight"
    note: ClassVar[str] = (
        "Commits the rival with the largest log confidence + mean log confidence of what then stays"
        " masked."
    )

    def choose(
        self, drafts: Drafts, predicted: Scores, masked: Tensor, targets: Tensor, live: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The best state alone, instead of node 0."""
        # a sample at temperature > 0 may have a confidence that rounds to 0
        chance = predicted.confidence.clamp(min=torch.finfo(torch.float32).tiny).log()
        mean = (chance * masked).sum(-1) / masked.sum(-1).clamp(min=1)
        value = torch.where(live, mean, 0.0) + (0.0 if drafts.prior is None else drafts.prior)
        path = torch.zeros_like(drafts.level)
        path[:, 0] = argmax_lowest(value.masked_fill(~drafts.valid, float("-inf")))
        return path, torch.ones_like(path[:, 0])


@dataclass(frozen=True)
class LargestStep(Best):
    """ETE's choice (arXiv 2511.21103), reconstructed: the branch from which the policy's own next
    step is largest.

    Where there are branches one of them is taken; a branch with nothing left to decide counts as
    the largest.

    Example: the policy would take 1 position from node 1 and 3 from node 2: node 2.
    """

    name: ClassVar[str] = "largest_step"
    note: ClassVar[str] = "Goes on from the branch from which the policy's next step is largest."

    def choose(
        self, drafts: Drafts, predicted: Scores, masked: Tensor, targets: Tensor, live: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Node 0, then the best branch where there is one."""
        step = (targets != drafts.tokens).sum(-1)
        value = torch.where(live, step, targets.shape[-1] + 1).masked_fill(~drafts.valid, -1)
        value[:, 0] = -1
        explored = (drafts.valid[:, 1:].any(-1)) & live[:, 0]
        return jump(torch.where(explored, argmax_lowest(value), 0), drafts)


def jump(node: Tensor, drafts: Drafts) -> tuple[Tensor, Tensor]:
    """The walk from node 0 straight to `node` `[S]`, or of node 0 alone: `(path [S, N], length
    [S])`.
    """
    path = torch.zeros_like(drafts.level)
    if path.shape[1] > 1:
        path[:, 1] = node
    return path, 1 + (node > 0).long()
