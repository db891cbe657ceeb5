"""ETE (arXiv 2511.21103), reconstructed: exploit the policy's step, explore where it was small."""

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
from psd_lib.core.strategy import Needs, Step
from psd_lib.methods.branching import Best, Branches, jump


@register
@dataclass(frozen=True)
class Explore(Branches):
    """Where a step committed few positions, try `k` tokens at the least certain one.

    Node 0 is the policy's step (exploit). Where it committed fewer than `enough` positions, branch
    j adds the j-th most likely token at the masked position with the lowest confidence (explore);
    elsewhere there are no branches.

    Example, k = 2, `_` masked, one position committed in each::

        node 0        [[7, _, _, _], [7, 8, _, 9]]
        confidence    [[., .3, .6, .5], [., ., .2, .]]
        best tokens   [[., 1 5, 2 6, 3 7], [., ., 4 8, .]]
        node 1        [[7, 1, _, _], [7, 8, 4, 9]]
        node 2        [[7, 5, _, _], [7, 8, 8, 9]]
    """

    k: int = option("tokens tried at the least certain position", 3)
    enough: int = option("commits from which a step needs no branches", 2)
    name: ClassVar[str] = "explore"
    note: ClassVar[str] = (
        "ETE reconstructed from second-hand descriptions, inside the block only: the policy's step "
        "(exploit); where it took fewer than `enough` positions, the k most likely tokens of the "
        "least confident masked position are tried in one call and the branch from which the "
        "policy's next step is largest is kept (ties: the likelier token)."
    )

    def __post_init__(self) -> None:
        at_least("k", self.k, 1)
        at_least("enough", self.enough, 1)

    @property
    def needs(self) -> Needs:
        """Ask for the k best tokens."""
        return Needs(top_tokens=self.k)

    @property
    def depth(self) -> int:  # type: ignore[override]
        """Return the number of guessed states above node 0."""
        return self.k

    def draft(self, step: Step) -> Drafts:
        """Return node 0 and a branch for each of the k tokens, N = k + 1."""
        scores, node0 = step.scores, step.node0
        spot = (order(-scores.confidence, step.masked) == 0) & step.masked
        tokens, _ = scores.best(self.k)
        drafted = torch.where(spot[:, None], tokens.transpose(1, 2), node0[:, None])
        explored = spot.any(-1) & (step.committed < self.enough)
        valid = torch.ones_like(explored)[:, None]
        valid = torch.cat([valid, explored[:, None].expand(-1, self.k)], 1)
        level = torch.ones_like(valid, dtype=torch.long)
        level[:, 0] = 0
        return Drafts(torch.cat([node0[:, None], drafted], 1), valid, level)


@register
@dataclass(frozen=True)
class LargestStep(Best):
    """Go to the branch from which the policy's own next step is largest.

    Where there are branches one of them is taken; a branch with nothing left to decide counts as
    the largest.

    Example: the policy would commit 1 position from node 1 and 3 from node 2: node 2.
    """

    name: ClassVar[str] = "largest_step"
    note: ClassVar[str] = "Goes on from the branch from which the policy's next step is largest."

    def accept(self, drafts: Drafts, verified: Verified) -> Path:
        """Return node 0, then the best branch where there is one."""
        step = (verified.targets != drafts.tokens).sum(-1)
        largest = verified.targets.shape[-1] + 1
        value = torch.where(verified.live, step, largest).masked_fill(~drafts.valid, -1)
        value[:, 0] = -1
        explored = drafts.valid[:, 1:].any(-1) & verified.live[:, 0]
        return jump(torch.where(explored, argmax_lowest(value), 0), drafts)


register_decoder(
    "ete",
    Decoder(
        Threshold(),
        Explore(),
        LargestStep(),
        options=("policy", "drafter"),
        title="ETE",
        source="ETE, arXiv 2511.21103, reconstructed",
    ),
)
