"""The chain: nested guesses in the policy's own order, the drafts of PSD, FreeDave and SSD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.core.checks import at_least
from psd_lib.core.described import option
from psd_lib.core.scores import order
from psd_lib.core.states import Drafts
from psd_lib.core.strategy import Drafter, Step
from psd_lib.errors import UserError

POLICY = "policy"


@dataclass(frozen=True)
class Chain(Drafter):
    """A nested chain of `depth` guesses: each level fills the next positions with stale tokens.

    Positions come in the policy's order. `tokens_per_level` is a number or "policy": as many as
    the policy just committed. Levels that would add nothing are not built, so drafts never leave
    the block. The level size is not published for PSD (arXiv 2605.15609): 1 is inferred.

    Example, depth 2, one token per level, `_` masked::

        node 0        [[7, _, _, _], [7, 8, _, 9]]
        stale token   [[7, 1, 2, 3], [7, 8, 4, 9]]
        confidence    [[., .3, .6, .5], [., ., .2, .]]
        node 1        [[7, _, 2, _], [7, 8, 4, 9]]
        node 2        [[7, _, 2, 3], not valid   ]
    """

    depth: int = option("guessed states ahead of the policy's step", 3)
    tokens_per_level: int | str = option('tokens that a level adds, or "policy"', 1)
    name: ClassVar[str] = "chain"

    def __post_init__(self) -> None:
        at_least("depth", self.depth, 0)
        if isinstance(self.tokens_per_level, str):
            if self.tokens_per_level != POLICY:
                raise UserError(
                    'tokens_per_level must be a whole number of at least 1 or "policy", got '
                    f"{self.tokens_per_level!r}."
                )
        else:
            at_least("tokens_per_level", self.tokens_per_level, 1)

    @property
    def level_size(self) -> int | str | None:
        """Return `tokens_per_level`."""
        return self.tokens_per_level

    def draft(self, step: Step) -> Drafts:
        """Return node 0 and up to `depth` nested guesses, N = depth + 1."""
        rank = order(step.policy.priority(step.scores), step.masked)
        level = levels_of(self.depth, step)
        size = self.level_sizes(step.committed)
        count = level * size[:, None]
        filled = (rank[:, None] < count[..., None]) & step.masked[:, None]
        tokens = torch.where(filled, step.scores.token[:, None], step.node0[:, None])
        valid = count - size[:, None] < step.masked.sum(-1, keepdim=True)
        valid[:, 0] = True
        return Drafts(tokens, valid, level.expand_as(valid))

    def level_sizes(self, committed: Tensor) -> Tensor:
        """Return the tokens that a level adds for each sequence, int64 `[S]`."""
        if isinstance(self.tokens_per_level, str):
            return committed
        return torch.full_like(committed, self.tokens_per_level)

    @property
    def label(self) -> str:
        """Return `d=3`, with the level size where it is not 1."""
        size = "" if self.tokens_per_level == 1 else f" m={self.tokens_per_level}"
        return f"d={self.depth}{size}"


def levels_of(depth: int, step: Step) -> Tensor:
    """Return the levels 0 to `depth`, or to the window's length: no chain can be longer."""
    return torch.arange(min(depth, step.masked.shape[-1]) + 1, device=step.node0.device)
