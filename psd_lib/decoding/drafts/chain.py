"""The chain: nested guesses in the policy's own order, the drafts of PSD, FreeDave and SSD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.checks import at_least
from psd_lib.decoding.drafts.base import Drafts
from psd_lib.decoding.policies import Policy
from psd_lib.decoding.scores import Scores, order
from psd_lib.errors import UserError


@dataclass(frozen=True)
class Chain:
    """A nested chain of `depth` guesses: each level fills the next positions in the policy's order with stale tokens.

    `tokens_per_level` is a number or "policy": as many as the policy just took. Levels that would add nothing are not
    built, so drafts never leave the block. The level size is not published for PSD (arXiv 2605.15609): 1 is inferred.

    Example, depth 2, one token per level, `_` masked::

        node 0        [[7, _, _, _], [7, 8, _, 9]]
        stale token   [[7, 1, 2, 3], [7, 8, 4, 9]]
        confidence    [[., .3, .6, .5], [., ., .2, .]]
        node 1        [[7, _, 2, _], [7, 8, 4, 9]]
        node 2        [[7, _, 2, 3], not valid   ]
    """

    depth: int = 3
    tokens_per_level: int | str = 1
    name: ClassVar[str] = "chain"

    def __post_init__(self):
        at_least("depth", self.depth, 0)
        if isinstance(self.tokens_per_level, str):
            if self.tokens_per_level != "policy":
                raise UserError(
                    f'tokens_per_level must be a whole number of at least 1 or "policy", got {self.tokens_per_level!r}.'
                )
        else:
            at_least("tokens_per_level", self.tokens_per_level, 1)

    def build(self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor) -> Drafts:
        """Node 0 and up to `depth` nested guesses, N = depth + 1."""
        rank = order(policy.priority(stale), masked)
        level = torch.arange(self.depth + 1, device=node0.device)
        size = taken if self.tokens_per_level == "policy" else torch.full_like(taken, self.tokens_per_level)
        count = level * size[:, None]
        filled = (rank[:, None] < count[..., None]) & masked[:, None]
        tokens = torch.where(filled, stale.token[:, None], node0[:, None])
        valid = count - size[:, None] < masked.sum(-1, keepdim=True)
        valid[:, 0] = True
        return Drafts(tokens, valid, level.expand_as(valid))

    @property
    def label(self) -> str:
        """`d=3`, with the level size where it is not 1."""
        size = "" if self.tokens_per_level == 1 else f" m={self.tokens_per_level}"
        return f"d={self.depth}{size}"
