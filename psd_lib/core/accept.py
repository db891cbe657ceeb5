"""Acceptance: the walk over guessed states, and replay, the rule that keeps every policy exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.core.scores import argmax_lowest
from psd_lib.core.states import Drafts, Path, Verified
from psd_lib.core.strategy import Acceptor, Drafter, Policy


class EdgeAcceptor(Acceptor):
    """An acceptor that walks from state to state along edges, starting at node 0."""

    def edges(self, drafts: Drafts, verified: Verified) -> Tensor:
        """Return how much node i favours node j as its next node, int64 `[S, N, N]`.

        0 means that i does not lead to j. The walk takes the largest entry of row i.
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
        """Return True unless the drafter makes the call in an approximate way of its own."""
        return drafter.exact
