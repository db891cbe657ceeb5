"""Acceptance by token agreement: what PSD's unpublished rule might also be (our analysis)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from psd_lib.core.accept import EdgeAcceptor
from psd_lib.core.registry import register
from psd_lib.core.states import Drafts, Verified
from psd_lib.core.strategy import Drafter, Policy


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
        """Return True for a declared fixed order with levels of the policy's size."""
        sized = drafter.level_size is not None and policy.max_commits is not None
        fits = sized and drafter.level_size in (policy.max_commits, "policy")
        return drafter.exact and policy.fixed_order and fits


@register
@dataclass(frozen=True)
class TokenRoot(EdgeAcceptor):
    """Accept the largest draft all of whose tokens are the fresh proposals at node 0.

    Approximate.
    """

    name: ClassVar[str] = "token_root"

    def edges(self, drafts: Drafts, verified: Verified) -> Tensor:
        """Lead from node 0 to every draft that it predicts; more pairs rank higher."""
        added = (drafts.tokens[:, None] != drafts.tokens[:, :, None]).sum(-1)
        edges = agrees(drafts, verified) * added
        edges[:, 1:] = 0
        return edges


def agrees(drafts: Drafts, verified: Verified) -> Tensor:
    """Return whether j keeps i's tokens and adds only i's fresh proposals, bool `[S, N, N]`."""
    child, parent = drafts.tokens[:, None], drafts.tokens[:, :, None]
    return ((child == parent) | (child == verified.scores.token[:, :, None])).all(-1)
