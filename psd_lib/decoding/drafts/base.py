"""What a draft builder is: guessed states in, nothing decided; and the builder that guesses
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from psd_lib.decoding.policies import Policy
from psd_lib.decoding.scores import Scores


@dataclass(frozen=True)
class Drafts:
    """Guessed states of S sequences: N nodes of W window positions, node 0 being the certain one.

    `tokens` int64 `[S, N, W]`; `valid` bool `[S, N]`, False where a sequence has fewer nodes (node
    0 is always valid); `level` int64 `[S, N]`, 0 for node 0, and l + 1 for the children of level l.
    `prior` float32 `[S, N]` is what a builder of rival states says of each by itself, its log
    confidence; None from all others.
    """

    tokens: Tensor
    valid: Tensor
    level: Tensor
    prior: Tensor | None = None


class DraftBuilder(Protocol):
    """What the loop asks of a builder. Nodes contain node 0 and differ from it only at masked
    window positions.

    A builder that also makes the model's call in an approximate way of its own sets `approximate =
    True`: then no acceptor makes it exact.
    """

    name: ClassVar[str]

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """Drafts above `node0` `[S, W]`, whose masked positions are `masked` `[S, W]`.

        `stale` `[S, W]` are the scores that `node0` was made from; `taken` `[S]` counts what the
        policy just committed.
        """

    @property
    def label(self) -> str:
        """Short text for tables and legends; empty when there is nothing to say."""


@dataclass(frozen=True)
class NoDraft:
    """No guesses: the bare policy."""

    name: ClassVar[str] = "none"

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """Node 0 alone."""
        valid = torch.ones(node0.shape[0], 1, dtype=torch.bool, device=node0.device)
        return Drafts(node0[:, None], valid, torch.zeros_like(valid, dtype=torch.long))

    @property
    def label(self) -> str:
        """Empty."""
        return ""
