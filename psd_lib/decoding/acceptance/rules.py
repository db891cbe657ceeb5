"""Acceptance rules that compare guesses with the policy or with the fresh tokens: replay, subset,
token agreement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from psd_lib.decoding.drafts import Chain, DraftBuilder, Drafts
from psd_lib.decoding.policies import LeftToRight, Policy, TopK
from psd_lib.decoding.scores import Scores


@dataclass(frozen=True)
class Replay:
    """Accept a draft only if it *is* the policy's own next state: same positions, same tokens.

    Exact for every deterministic policy and every builder, and never more calls than the policy
    itself. This is our reading of PSD's "consistent with the updated predictions" (arXiv
    2605.15609); the paper's rule is not published.

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
        """Always, unless the builder makes the call in an approximate way of its own."""
        return not getattr(builder, "approximate", False)


@dataclass(frozen=True)
class Subset:
    """Accept the largest draft whose new pairs are all contained in the policy's own step
    (FreeDave++, full attention).

    Approximate: a policy step that is only partly taken changes the context of what follows. Exact
    for policies that commit one token a step, where it is `replay`.
    """

    name: ClassVar[str] = "subset"

    def reach(self, drafts: Drafts, predicted: Scores, targets: Tensor) -> Tensor:
        """Node i leads to j when j only adds pairs of i's policy step; more pairs rank higher."""
        child, parent = drafts.tokens[:, None], drafts.tokens[:, :, None]
        contained = ((child == parent) | (child == targets[:, :, None])).all(-1)
        return contained * (child != parent).sum(-1)

    def exact_for(self, policy: Policy, builder: DraftBuilder) -> bool:
        """For one token a step."""
        return (
            isinstance(policy, TopK | LeftToRight)
            and policy.k == 1
            and not getattr(builder, "approximate", False)
        )


@dataclass(frozen=True)
class TokenChain:
    """Accept level by level while every new token is the fresh argmax at the parent, wherever the
    policy would look.

    Approximate: it changes the order of commits. Exact when the order does not depend on the model
    and the levels are as large as the policy's steps.
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
        """Node 0 leads to every draft that it predicts; more pairs rank higher; nothing leads on
        from there.
        """
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
