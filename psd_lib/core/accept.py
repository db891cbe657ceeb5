"""Acceptance rules that compare guesses with the policy or with the fresh tokens, and their walk.

Only `replay` reproduces every deterministic policy exactly; the others are approximate in general
and say when they are not (`exact_for`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.core.registry import register
from psd_lib.core.scores import argmax_lowest
from psd_lib.core.states import Drafts, Path, Verified
from psd_lib.core.strategy import Acceptor, Drafter, Policy


class EdgeAcceptor(Acceptor):
    """An acceptor that walks from state to state along edges, starting at node 0."""

    def edges(self, drafts: Drafts, verified: Verified) -> Tensor:
        """Say whether node i leads straight to node j, int64 `[S, N, N]`.

        0 is no, and the largest number of a row is taken.
        """
        raise NotImplementedError

    def accept(self, drafts: Drafts, verified: Verified) -> Path:
        """Return the walk along the best edges."""
        return walk(self.edges(drafts, verified), drafts, verified.live)


def walk(edges: Tensor, drafts: Drafts, live: Tensor) -> Path:
    """Follow the best `edges` `[S, N, N]` from node 0; ties go to the lowest node.

    `live` bool `[S, N]` marks the nodes that have fresh scores and something left to commit;
    nothing leads on from the others. Edges only go to valid nodes with more tokens decided, so the
    walk ends. Entries behind `length` are 0.

    Example, N = 4, next node 0 -> 2 -> 3::

        nodes [[0, 2, 3, 0]]   length [3]
    """
    count = edges.shape[1]
    here = torch.arange(count, device=edges.device)
    usable = live[:, :, None] & drafts.valid[:, None] & (here[:, None] != here)
    edges = edges.masked_fill(~usable, 0)
    following = torch.where(edges.amax(-1) > 0, argmax_lowest(edges), -1)
    path = torch.zeros(edges.shape[:2], dtype=torch.long, device=edges.device)
    length = torch.ones(edges.shape[0], dtype=torch.long, device=edges.device)
    at, moving = path[:, 0], torch.ones_like(length, dtype=torch.bool)
    for index in range(1, count):
        step = following.gather(1, at[:, None])[:, 0]
        moving = moving & (step >= 0)
        at = torch.where(moving, step, at)
        path[:, index] = torch.where(moving, at, 0)
        length = length + moving
    return Path(path, length)


@register
@dataclass(frozen=True)
class Replay(EdgeAcceptor):
    """Accept a draft only if it *is* the policy's own next state: same positions, same tokens.

    Exact for every deterministic policy and every drafter, and never more calls than the policy
    itself. This is our reading of PSD's "consistent with the updated predictions" (arXiv
    2605.15609); the paper's rule is not published.

    Example, `_` masked::

        node 0   [7, _, _, _]     its policy step  [7, _, 2, _]
        node 1   [7, _, 2, _]     accepted: equal
        node 2   [7, _, 2, 3]     accepted only if the policy's step from node 1 gives exactly this
    """

    name: ClassVar[str] = "replay"

    def edges(self, drafts: Drafts, verified: Verified) -> Tensor:
        """Lead from node i to every node that equals its policy step."""
        return (verified.targets[:, :, None] == drafts.tokens[:, None]).all(-1).long()

    def exact_for(self, policy: Policy, drafter: Drafter) -> bool:
        """Always, unless the drafter makes the call in an approximate way of its own."""
        return drafter.exact


@register
@dataclass(frozen=True)
class Subset(EdgeAcceptor):
    """Accept the largest draft whose new pairs are all part of the policy's own step.

    FreeDave++ on full attention. Approximate: a policy step that is only partly taken changes the
    context of what follows. Exact for policies that commit one token a step, where it is `replay`.
    """

    name: ClassVar[str] = "subset"

    def edges(self, drafts: Drafts, verified: Verified) -> Tensor:
        """Lead from i to j if j only adds pairs of i's policy step; more pairs rank higher."""
        child, parent = drafts.tokens[:, None], drafts.tokens[:, :, None]
        contained = ((child == parent) | (child == verified.targets[:, :, None])).all(-1)
        return contained * (child != parent).sum(-1)

    def exact_for(self, policy: Policy, drafter: Drafter) -> bool:
        """For policies that declare one token a step."""
        return policy.max_commits == 1 and drafter.exact


@register
@dataclass(frozen=True)
class TokenChain(EdgeAcceptor):
    """Accept level by level while every new token is the fresh proposal at the parent.

    Approximate, since it does not ask whether the policy would commit these positions. Exact if
    the policy's order does not depend on the scores and levels are as large as its steps.
    """

    name: ClassVar[str] = "token_chain"

    def edges(self, drafts: Drafts, verified: Verified) -> Tensor:
        """Lead from i to the nodes one level above it whose new tokens it predicts."""
        one_up = drafts.level[:, None] == drafts.level[:, :, None] + 1
        return (agrees(drafts, verified) & one_up).long()

    def exact_for(self, policy: Policy, drafter: Drafter) -> bool:
        """For a declared fixed order with levels of the policy's size."""
        sized = drafter.level_size is not None and policy.max_commits is not None
        fits = sized and drafter.level_size in (policy.max_commits, "policy")
        return drafter.exact and policy.fixed_order and fits


@register
@dataclass(frozen=True)
class TokenRoot(EdgeAcceptor):
    """Accept the largest draft all of whose tokens are the fresh proposals at node 0. Approximate."""

    name: ClassVar[str] = "token_root"

    def edges(self, drafts: Drafts, verified: Verified) -> Tensor:
        """Lead from node 0 to every draft that it predicts; more pairs rank higher."""
        added = (drafts.tokens[:, None] != drafts.tokens[:, :, None]).sum(-1)
        edges = agrees(drafts, verified) * added
        edges[:, 1:] = 0
        return edges


def agrees(drafts: Drafts, verified: Verified) -> Tensor:
    """Say whether j keeps all of i's tokens and adds only i's fresh proposals, bool `[S, N, N]`."""
    child, parent = drafts.tokens[:, None], drafts.tokens[:, :, None]
    return ((child == parent) | (child == verified.scores.token[:, :, None])).all(-1)
