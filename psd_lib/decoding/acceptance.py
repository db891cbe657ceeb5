"""Acceptors: from which guessed state may we walk to which?

All acceptors answer the same question, the next node for every node, and share one walk. Only `replay` reproduces every
deterministic policy exactly; the others are approximations in general and say when they are not (`exact_for`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from psd_lib.decoding.drafts import Chain, DraftBuilder, Drafts
from psd_lib.decoding.policies import LeftToRight, Policy, TopK
from psd_lib.decoding.scores import Scores, argmax_lowest


class Acceptor(Protocol):
    """What the loop asks of an acceptor."""

    name: ClassVar[str]

    def reach(self, drafts: Drafts, predicted: Scores, targets: Tensor) -> Tensor:
        """May one walk from node i straight to node j? Int64 `[S, N, N]`, 0 = no, the largest of a row is taken.

        `predicted` `[S, N, W]` are the fresh scores of every node; `targets` `[S, N, W]` is each node's state after the
        policy's own step from those scores.
        """

    def exact_for(self, policy: Policy, builder: DraftBuilder) -> bool:
        """Whether outputs are provably those of the policy decoded step by step."""


@dataclass(frozen=True)
class Replay:
    """Accept a draft only if it *is* the policy's own next state: same positions, same tokens.

    Exact for every deterministic policy and every builder, and never more calls than the policy itself. This is our
    reading of PSD's "consistent with the updated predictions" (arXiv 2605.15609); the paper's rule is not published.

    Example, `_` masked::

        node 0   [7, _, _, _]     its policy step  [7, _, 2, _]
        node 1   [7, _, 2, _]     accepted: equal
        node 2   [7, _, 2, 3]     accepted only if the policy's step from node 1 gives exactly this
    """

    name: ClassVar[str] = "replay"

    def reach(self, drafts: Drafts, predicted: Scores, targets: Tensor) -> Tensor:
        """Node i leads to every node that equals its policy step."""
        return (targets[:, :, None] == drafts.tokens[:, None]).all(-1).long()

    def exact_for(self, policy: Policy, builder: DraftBuilder) -> bool:
        """Always."""
        return True


@dataclass(frozen=True)
class Subset:
    """Accept the largest draft whose new pairs are all contained in the policy's own step (FreeDave++, full attention).

    Approximate: a policy step that is only partly taken changes the context of what follows. Exact for policies that
    commit one token a step, where it is `replay`.
    """

    name: ClassVar[str] = "subset"

    def reach(self, drafts: Drafts, predicted: Scores, targets: Tensor) -> Tensor:
        """Node i leads to j when j only adds pairs of i's policy step; more pairs rank higher."""
        child, parent = drafts.tokens[:, None], drafts.tokens[:, :, None]
        contained = ((child == parent) | (child == targets[:, :, None])).all(-1)
        return contained * (child != parent).sum(-1)

    def exact_for(self, policy: Policy, builder: DraftBuilder) -> bool:
        """For one token a step."""
        return isinstance(policy, TopK | LeftToRight) and policy.k == 1


@dataclass(frozen=True)
class TokenChain:
    """Accept level by level while every new token is the fresh argmax at the parent, wherever the policy would look.

    Approximate: it changes the order of commits. Exact when the order does not depend on the model and the levels are as
    large as the policy's steps.
    """

    name: ClassVar[str] = "token_chain"

    def reach(self, drafts: Drafts, predicted: Scores, targets: Tensor) -> Tensor:
        """Node i leads to the nodes one level above it whose new tokens it predicts."""
        one_up = drafts.level[:, None] == drafts.level[:, :, None] + 1
        return (agrees(drafts, predicted) & one_up).long()

    def exact_for(self, policy: Policy, builder: DraftBuilder) -> bool:
        """For left-to-right with levels of the policy's size."""
        sized = isinstance(builder, Chain) and isinstance(policy, LeftToRight)
        return sized and builder.tokens_per_level in (policy.k, "policy")


@dataclass(frozen=True)
class TokenRoot:
    """Accept the largest draft all of whose tokens are the fresh argmax at node 0. Approximate."""

    name: ClassVar[str] = "token_root"

    def reach(self, drafts: Drafts, predicted: Scores, targets: Tensor) -> Tensor:
        """Node 0 leads to every draft that it predicts; more pairs rank higher; nothing leads on from there."""
        added = (drafts.tokens[:, None] != drafts.tokens[:, :, None]).sum(-1)
        reach = agrees(drafts, predicted) * added
        reach[:, 1:] = 0
        return reach

    def exact_for(self, policy: Policy, builder: DraftBuilder) -> bool:
        """Never guaranteed."""
        return False


def agrees(drafts: Drafts, predicted: Scores) -> Tensor:
    """Whether j keeps all of i's tokens and adds only i's fresh argmax tokens, bool `[S, N, N]`."""
    child, parent = drafts.tokens[:, None], drafts.tokens[:, :, None]
    return ((child == parent) | (child == predicted.token[:, :, None])).all(-1)


def walk(reach: Tensor, drafts: Drafts, live: Tensor) -> tuple[Tensor, Tensor]:
    """Follow the best edges from node 0: `(path [S, N], length [S])`, path[:, 0] = 0, entries behind `length` are 0.

    `live` bool `[S, N]` marks the nodes that have fresh scores and something left to commit; nothing leads on from the
    others. Edges only go to valid nodes with more tokens decided, so the walk ends; ties go to the lowest node.

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


ACCEPTORS: dict[str, type] = {rule.name: rule for rule in (Replay, Subset, TokenChain, TokenRoot)}
