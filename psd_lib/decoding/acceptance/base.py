"""What an acceptor is, and the walk that all acceptors share."""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import Tensor

from psd_lib.decoding.drafts import DraftBuilder, Drafts
from psd_lib.decoding.policies import Policy
from psd_lib.decoding.scores import Scores, argmax_lowest


class Acceptor(Protocol):
    """What the loop asks of an acceptor."""

    name: ClassVar[str]

    def reach(self, drafts: Drafts, predicted: Scores, targets: Tensor) -> Tensor:
        """May one walk from node i straight to node j? Int64 `[S, N, N]`, 0 = no, the largest of a
        row is taken.

        `predicted` `[S, N, W]` are the fresh scores of every node; `targets` `[S, N, W]` is each
        node's state after the policy's own step from those scores.
        """

    def exact_for(self, policy: Policy, builder: DraftBuilder) -> bool:
        """Whether outputs are provably those of the policy decoded step by step."""


def walk(reach: Tensor, drafts: Drafts, live: Tensor) -> tuple[Tensor, Tensor]:
    """Follow the best edges from node 0: `(path [S, N], length [S])`, path[:, 0] = 0, entries
    behind `length` are 0.

    `live` bool `[S, N]` marks the nodes that have fresh scores and something left to commit;
    nothing leads on from the others. Edges only go to valid nodes with more tokens decided, so the
    walk ends; ties go to the lowest node.

    Example, N = 4, next node 0 -> 2 -> 3::

        path [[0, 2, 3, 0]]   length [3]
    """
    nodes = reach.shape[1]
    here = torch.arange(nodes, device=reach.device)
    usable = live[:, :, None] & drafts.valid[:, None] & (here[:, None] != here)
    reach = reach.masked_fill(~usable, 0)
    following = torch.where(reach.amax(-1) > 0, argmax_lowest(reach), -1)
    path = torch.zeros(reach.shape[:2], dtype=torch.long, device=reach.device)
    length = torch.ones(reach.shape[0], dtype=torch.long, device=reach.device)
    at, moving = path[:, 0], torch.ones_like(length, dtype=torch.bool)
    for index in range(1, nodes):
        step = following.gather(1, at[:, None])[:, 0]
        moving = moving & (step >= 0)
        at = torch.where(moving, step, at)
        path[:, index] = torch.where(moving, at, 0)
        length = length + moving
    return path, length
