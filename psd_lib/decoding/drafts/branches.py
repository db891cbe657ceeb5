"""Branches: rival ways to go on, of which the acceptor keeps the best scored one (LoPA, FDM, ETE;
all approximate).

They belong to the acceptors of `psd_lib.decoding.acceptance.branches`; with `replay` they are
exact, if poor, drafts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.alternatives import Ranked
from psd_lib.decoding.canvas import Canvas
from psd_lib.decoding.checks import at_least, probability
from psd_lib.decoding.drafts.base import Drafts
from psd_lib.decoding.policies import Policy
from psd_lib.decoding.scores import Scores, order

if TYPE_CHECKING:
    from psd_lib.decoding.loop import Loop


class Branches:
    """What builders of `k` branches share: how many states they guess, and how they are written."""

    k: int

    @property
    def depth(self) -> int:
        """Guessed states above node 0."""
        return self.k

    def describe(self) -> dict[str, float]:
        """The fields, and the number of guessed states under the name that all builders share."""
        return asdict(self) | {"depth": self.depth}

    @property
    def label(self) -> str:
        """`k=3`."""
        return f"k={self.k}"


@dataclass(frozen=True)
class Lookahead(Branches):
    """LoPA (arXiv 2512.16229): the anchor (node 0) and `k` branches, each with one of the `k` most
    confident positions more.

    Example, k = 2, `_` masked::

        anchor        [[7, _, _, _], [7, 8, _, 9]]
        stale token   [[7, 1, 2, 3], [7, 8, 4, 9]]
        confidence    [[., .3, .6, .5], [., ., .2, .]]
        node 1        [[7, _, 2, _], [7, 8, 4, 9]]
        node 2        [[7, _, _, 3], not valid   ]
    """

    k: int = 3
    name: ClassVar[str] = "lookahead"
    fidelity: ClassVar[str] = "reconstructed"
    note: ClassVar[str] = (
        "LoPA reconstructed: the anchor is the policy's step; k branches commit one of the k most"
        " confident remaining positions more; one call scores anchor and branches by the mean"
        " confidence of what stays masked (1 if nothing); the best goes on. LoPA's scripts score by"
        " entropy and cache a block only when the anchor completed it."
    )

    def __post_init__(self):
        at_least("k", self.k, 0)

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """The anchor and its branches, N = k + 1."""
        rank = order(stale.confidence, masked)
        node = torch.arange(self.k + 1, device=node0.device)
        filled = (rank[:, None] == node[:, None] - 1) & masked[:, None]
        tokens = torch.where(filled, stale.token[:, None], node0[:, None])
        return Drafts(
            tokens, node <= masked.sum(-1, keepdim=True), (node > 0).long().expand(len(node0), -1)
        )


@dataclass(frozen=True)
class Candidates(Branches):
    """FDM (arXiv 2512.04135), reconstructed: the `k` most confident positions as rival single
    commits of the present state.

    Node 0 is the policy's own commit, the best position under `top_k(1)`; the other nodes hold a
    rival *instead* of it, so they do not contain node 0. Rivals below confidence `gamma` are
    dropped. Under a policy with a threshold (FDM-A) there are rivals only where that policy took a
    single position below its threshold.

    Example, k = 2, `_` masked::

        state         [[7, _, _, _], [7, 8, _, 9]]
        stale token   [[7, 1, 2, 3], [7, 8, 4, 9]]
        confidence    [[., .3, .6, .5], [., ., .2, .]]
        node 0        [[7, _, 2, _], [7, 8, 4, 9]]
        node 1        [[7, _, _, 3], not valid   ]
    """

    k: int = 3
    gamma: float = 0.0
    name: ClassVar[str] = "candidates"
    fidelity: ClassVar[str] = "reconstructed"
    note: ClassVar[str] = (
        "FDM reconstructed from second-hand descriptions: the k most confident positions"
        " (confidence gamma or more) are rival commits; one call over them; the one with the"
        " largest log confidence + mean log confidence of what then stays masked is committed. With"
        " a threshold policy (FDM-A) there is a search only where no position reaches the"
        " threshold."
    )

    def __post_init__(self):
        at_least("k", self.k, 1)
        probability("gamma", self.gamma)

    def begin(self, loop: Loop) -> BoundCandidates:
        """Rivals replace the policy's commit, so the state before it is needed."""
        return BoundCandidates(self, loop.canvas, hasattr(loop.config.acceptor, "choose"))

    @property
    def depth(self) -> int:
        """Guessed states beside node 0."""
        return self.k - 1

    @property
    def label(self) -> str:
        """`k=3`, with the pruning bound where there is one."""
        return f"k={self.k}" + (f" gamma={self.gamma:g}" if self.gamma else "")


class BoundCandidates:
    """`Candidates` on one batch. Only an acceptor that chooses may go to a rival where the policy's
    commit ends it all.
    """

    def __init__(self, plug: Candidates, canvas: Canvas, alternatives: bool):
        self.plug, self.canvas, self.alternatives = plug, canvas, alternatives

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """Node 0 and its rivals, N = k; `prior` is the log confidence of each node's own commit."""
        state, open_before = self.canvas.window()
        rank = order(stale.confidence, open_before)
        node = torch.arange(self.plug.k, device=node0.device)
        chosen = (rank[:, None] == node[:, None]) & open_before[:, None]
        confidence = (stale.confidence[:, None] * chosen).sum(-1)
        tokens = torch.where(chosen, stale.token[:, None], state[:, None])
        tokens[:, 0] = node0
        search = (taken == 1) & (confidence[:, 0] < getattr(policy, "threshold", float("inf")))
        valid = chosen.any(-1) & (confidence >= self.plug.gamma) & search[:, None]
        valid[:, 0] = True
        return Drafts(tokens, valid, (node > 0).long().expand_as(valid), confidence.log())


@dataclass(frozen=True)
class Explore(Branches):
    """ETE (arXiv 2511.21103), reconstructed: where a step took few positions, try `k` tokens at the
    least certain one.

    Node 0 is the policy's step (exploit). Where it took fewer than `enough` positions, branch j
    adds the j-th most likely token at the masked position with the lowest confidence (explore);
    elsewhere there are no branches.

    Example, k = 2, `_` masked, one position taken in each::

        node 0        [[7, _, _, _], [7, 8, _, 9]]
        confidence    [[., .3, .6, .5], [., ., .2, .]]
        best tokens   [[., 1 5, 2 6, 3 7], [., ., 4 8, .]]
        node 1        [[7, 1, _, _], [7, 8, 4, 9]]
        node 2        [[7, 5, _, _], [7, 8, 8, 9]]
    """

    k: int = 3
    enough: int = 2
    name: ClassVar[str] = "explore"
    fidelity: ClassVar[str] = "reconstructed"
    note: ClassVar[str] = (
        "ETE reconstructed from second-hand descriptions, inside the block only: the policy's step"
        " (exploit); where it took fewer than `enough` positions, the k most likely tokens of the"
        " least confident masked position are tried in one call and the branch from which the"
        " policy's next step is largest is kept (ties: the likelier token)."
    )

    def __post_init__(self):
        at_least("k", self.k, 1)
        at_least("enough", self.enough, 1)

    def begin(self, loop: Loop) -> BoundExplore:
        """Other tokens than the best are needed: the session notes them."""
        loop.session = Ranked(loop.session, loop.denoiser, loop.canvas, self.k)
        return BoundExplore(self, loop.session)


class BoundExplore:
    """`Explore` on one batch."""

    def __init__(self, plug: Explore, session: Ranked):
        self.plug, self.session = plug, session

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """Node 0 and a branch for each of the k tokens, N = k + 1."""
        tokens, _ = self.session.ranked(stale)
        spot = (order(-stale.confidence, masked) == 0) & masked
        drafted = torch.where(spot[:, None], tokens.transpose(1, 2), node0[:, None])
        explored = spot.any(-1) & (taken < self.plug.enough)
        valid = torch.cat(
            [torch.ones_like(explored)[:, None], explored[:, None].expand(-1, self.plug.k)], 1
        )
        level = torch.ones_like(valid, dtype=torch.long)
        level[:, 0] = 0
        return Drafts(torch.cat([node0[:, None], drafted], 1), valid, level)
