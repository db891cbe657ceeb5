"""Modified rejection sampling over a draft model's tokens (SimSD); approximate, because its target
distribution is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.drafts import DraftBuilder, Drafts
from psd_lib.decoding.drafts.packed import PackedRow
from psd_lib.decoding.policies import Policy
from psd_lib.decoding.scores import Scores, argmax_lowest
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.decoding.loop import Loop


@dataclass(frozen=True)
class Rejection:
    """Accept a drafted token with probability min(1, q / p), from the left; at the first refusal
    sample from (q - p)+.

    p is the draft model's distribution at the reveal, q the target's in the packed row, both at the
    run's temperature. Only with builder `packed` and at temperature > 0 (at 0 it would be
    `token_chain`); UserError otherwise.

    Example: p(5) = .8, q(5) = .4: token 5 is accepted half of the time.
    """

    name: ClassVar[str] = "rejection"

    def exact_for(self, policy: Policy, builder: DraftBuilder) -> bool:
        """Never: it changes the samples, and the packed row is approximate."""
        return False

    def begin(self, loop: Loop) -> BoundRejection:
        """With the builder's distributions at hand."""
        if not isinstance(loop.session, PackedRow) or loop.config.temperature == 0:
            raise UserError(
                "acceptor 'rejection' needs builder 'packed' and temperature > 0; at temperature 0"
                " use 'token_chain'."
            )
        return BoundRejection(loop.session, loop.config.temperature)


class BoundRejection:
    """`Rejection` on one batch."""

    def __init__(self, row: PackedRow, temperature: float):
        self.row, self.builder, self.temperature = row, row.builder, temperature

    def choose(
        self, drafts: Drafts, predicted: Scores, masked: Tensor, targets: Tensor, live: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Walk over the accepted prefix; the scores' token at the first refused position becomes
        the correction.
        """
        state, time, open_before = self.row.drafted
        q = (self.row.checked / self.temperature).softmax(-1)
        p = self.builder.chance
        uniform = (-(-self.builder.noise(2, 1)[..., 0]).exp()).exp()
        accepted, correction = judge(state, p, q, uniform, self.builder.noise(3, q.shape[-1]))
        refused = open_before & (time > 0) & ~accepted
        good = open_before & ((refused.cumsum(-1)) == 0)
        # a state that ends or completes may be reached, but nothing leads on from it
        reachable = torch.minimum(drafts.valid.sum(-1) - 1, live.long().cumprod(-1).sum(-1))
        count = torch.minimum(good.sum(-1), reachable)
        node = torch.arange(drafts.level.shape[1], device=count.device)
        path = torch.where(node <= count[:, None], node, 0)
        stands = (masked & live[..., None]) & refused[:, None]
        chance = q.gather(-1, correction[..., None])[..., 0]
        predicted.token.copy_(torch.where(stands, correction[:, None], predicted.token))
        predicted.confidence.copy_(torch.where(stands, chance[:, None], predicted.confidence))
        return path, count + 1


def judge(
    token: Tensor, p: Tensor, q: Tensor, uniform: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Whether each drafted `token` `[S, W]` stands, and what takes its place where it does not.

    `p`, `q` `[S, W, V]` distributions of draft and target, `uniform` `[S, W]` in (0, 1), `noise`
    `[S, W, V]` Gumbel. Over many draws the outcome (token if it stands, else the correction) is
    distributed as q.
    """
    mine = p.gather(-1, token[..., None])[..., 0]
    theirs = q.gather(-1, token[..., None])[..., 0]
    left = (q - p).clamp(min=0)
    # where both agree nothing is left to sample from, and nothing is refused
    left = torch.where(left.sum(-1, keepdim=True) > 0, left, q)
    return uniform * mine <= theirs, argmax_lowest(left.log() + noise)
