"""The chain: nested guesses in the policy's own order, the drafts of PSD, FreeDave and SSD."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.checks import at_least
from psd_lib.decoding.drafts.base import Drafts
from psd_lib.decoding.policies import Policy
from psd_lib.decoding.scores import Scores, order
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.decoding.loop import Loop


@dataclass(frozen=True)
class Chain:
    """A nested chain of `depth` guesses: each level fills the next positions in the policy's order
    with stale tokens.

    `tokens_per_level` is a number or "policy": as many as the policy just took. Levels that would
    add nothing are not built, so drafts never leave the block. The level size is not published for
    PSD (arXiv 2605.15609): 1 is inferred. `eager` lets them go on into the next blocks (FreeDave;
    see `psd_lib.decoding.eager`).

    Example, depth 2, one token per level, `_` masked::

        node 0        [[7, _, _, _], [7, 8, _, 9]]
        stale token   [[7, 1, 2, 3], [7, 8, 4, 9]]
        confidence    [[., .3, .6, .5], [., ., .2, .]]
        node 1        [[7, _, 2, _], [7, 8, 4, 9]]
        node 2        [[7, _, 2, 3], not valid   ]
    """

    depth: int = 3
    tokens_per_level: int | str = 1
    eager: bool = False
    name: ClassVar[str] = "chain"

    def __post_init__(self):
        at_least("depth", self.depth, 0)
        if isinstance(self.tokens_per_level, str):
            if self.tokens_per_level != "policy":
                raise UserError(
                    'tokens_per_level must be a whole number of at least 1 or "policy", got'
                    f" {self.tokens_per_level!r}."
                )
        else:
            at_least("tokens_per_level", self.tokens_per_level, 1)
        if not isinstance(self.eager, bool):
            raise UserError(f"eager must be True or False, got {self.eager!r}.")

    def begin(self, loop: Loop) -> Chain | AcrossBlocks:
        """The chain itself, or the one that leaves the block."""
        return AcrossBlocks(self, loop.canvas.width) if self.eager else self

    def reach(self, width: int) -> int:
        """Blocks of `width` behind the current one that an eager chain can enter: K / (levels that
        fill a block), rounded up, where K = depth + 1 counts node 0 as FreeDave does.

        Example, width 4: depth 3 reaches 1 block, depth 7 reaches 2; with levels of 2 tokens 2 and
        4.
        """
        size = width if self.tokens_per_level == "policy" else min(self.tokens_per_level, width)
        return self.depth // -(-width // size) + 1

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """Node 0 and up to `depth` nested guesses, N = depth + 1."""
        rank = order(policy.priority(stale), masked)
        level = torch.arange(self.depth + 1, device=node0.device)
        size = (
            taken
            if self.tokens_per_level == "policy"
            else torch.full_like(taken, self.tokens_per_level)
        )
        count = level * size[:, None]
        filled = (rank[:, None] < count[..., None]) & masked[:, None]
        tokens = torch.where(filled, stale.token[:, None], node0[:, None])
        valid = count - size[:, None] < masked.sum(-1, keepdim=True)
        valid[:, 0] = True
        return Drafts(tokens, valid, level.expand_as(valid))

    def describe(self) -> dict[str, Any]:
        """The fields; `eager` only where it is on."""
        return {name: value for name, value in asdict(self).items() if name != "eager" or value}

    @property
    def label(self) -> str:
        """`d=3`, with the level size where it is not 1, and `eager` where it is on."""
        size = "" if self.tokens_per_level == 1 else f" m={self.tokens_per_level}"
        return f"d={self.depth}{size}" + (", eager" if self.eager else "")


class AcrossBlocks:
    """An eager `Chain` on one batch, over windows of several blocks of `width`."""

    def __init__(self, plug: Chain, width: int):
        self.plug, self.width = plug, width

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """Node 0 and up to `depth` nested guesses over `[S, span]`, block after block; no level has
        parts of two blocks.

        Blocks that no call has scored yet (their stale token is the mask) are not drafted.

        Example, width 2, depth 3, two tokens per level, `_` masked, `|` the block boundary::

            node 0        [7, _ | _, _]
            stale token   [7, 1 | 2, 3]
            node 1        [7, 1 | _, _]
            node 2        [7, 1 | 2, 3]
            node 3        not valid
        """
        drafted, blocks = masked & (stale.token != node0), (-1, self.width)
        size = (
            taken.clamp(min=1)
            if self.plug.tokens_per_level == "policy"
            else torch.full_like(taken, self.plug.tokens_per_level)
        )
        inside = drafted.unflatten(-1, blocks)
        rank = order(policy.priority(stale.map(lambda value: value.unflatten(-1, blocks))), inside)
        levels = (inside.sum(-1) + size[:, None] - 1).div(size[:, None], rounding_mode="floor")
        before = levels.cumsum(-1) - levels
        at = (before[..., None] + rank.div(size[:, None, None], rounding_mode="floor")).flatten(-2)
        level = torch.arange(self.plug.depth + 1, device=node0.device)
        filled = (at[:, None] < level[:, None]) & drafted[:, None]
        tokens = torch.where(filled, stale.token[:, None], node0[:, None])
        return Drafts(tokens, level <= levels.sum(-1, keepdim=True), level.expand(len(node0), -1))
