"""SimSD (arXiv 2606.02544): a draft model fills the block, one packed row of the target checks it.

The target sees the drafted tokens (D) and one mask copy (M) of each in a single row, with a mask
that lets position i see what the draft model saw when it revealed i. The mask leaks: M_i sees M_j
of the same or a later step, and M_j sees D_i if it was revealed before, so from the second layer on
a prediction depends on the token that it is asked to check (tested). So SimSD is approximate;
`draft_model` is the exact alternative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from psd_lib.core.batch import Batch
from psd_lib.core.cache import Session, scatter_rows
from psd_lib.core.checks import at_least
from psd_lib.core.denoiser import model_name
from psd_lib.core.described import option
from psd_lib.core.policies import best
from psd_lib.core.registry import Decoder, register, register_decoder
from psd_lib.core.scores import Scores, argmax_lowest, score
from psd_lib.core.states import Drafts, Path, Verified
from psd_lib.core.strategy import Acceptor, Drafter, Needs, Step
from psd_lib.errors import UserError
from psd_lib.methods.left_to_right import LeftToRight
from psd_lib.methods.packed_row import NEVER, PackedRow, Revealed
from psd_lib.methods.second_model import RunningModel
from psd_lib.methods.token_agreement import TokenChain

if TYPE_CHECKING:
    from psd_lib.core.config import DecodeConfig

DRAFT, TEST, CORRECTION = 1, 2, 3  # streams of noise, four for every iteration


@register
@dataclass(frozen=True)
class Packed(Drafter):
    """Draft prefixes, from the left, of what the draft model reveals in at most `depth` steps.

    Each step reveals one position. Goes with the policy `left_to_right`, whose step is the
    correction after a refused token (truncate), and with the acceptors `token_chain` (greedy match)
    or `rejection`. It makes the target's call itself, without a cache. Where the paper stores a
    finished block in a call of its own, a second row of the same call does; so the first token of a
    block is the target's own.

    Example, the draft model reveals position 2, then 1, then 3, `_` masked::

        node 0   [7, _, _, _]      node 1   [7, 5, _, _]
        node 2   [7, 5, 2, _]      node 3   [7, 5, 2, 3]
    """

    depth: int = option("positions that the draft model reveals", 31)
    draft: Any = option("name of a draft model, or a loaded one", None, repr=False)
    name: ClassVar[str] = "packed"
    exact: ClassVar[bool] = False
    note: ClassVar[str] = (
        "SimSD: the packed row leaks a token under test into its own check, so it is approximate; "
        "blocks are stored by a second row of the same call instead of a call of their own, and "
        "the first token of a block is the target's."
    )

    def __post_init__(self) -> None:
        at_least("depth", self.depth, 1)

    @property
    def needs(self) -> Needs:
        """Ask for the draft model."""
        return Needs(second_model="draft")

    def start(self, batch: Batch) -> Drafter:
        """Return the drafter with the draft model at work.

        Raises:
            UserError: the target is not plain block-causal.
        """
        denoiser = batch.denoiser
        if denoiser.sees_future or denoiser.causal_context or denoiser.shift:
            raise UserError(
                "SimSD's packed row needs a block-causal target without shift, such as the sdar "
                "family; for other targets use drafter 'draft_model', which is exact."
            )
        return RunningPacked(self, batch)

    @property
    def label(self) -> str:
        """Return the draft model, such as `mini-sdar-draft packed`."""
        return f"{model_name(self.draft)} packed"


@dataclass(frozen=True)
class PackedDrafts(Drafts):
    """Drafted prefixes, with what the draft model revealed and how likely it was.

    `chance` `[S, W, V]` is the draft model's distribution at each position's reveal, None at
    temperature 0.
    """

    revealed: Revealed | None = None
    chance: Tensor | None = None


class RunningPacked(Drafter):
    """`Packed` on one batch."""

    def __init__(self, rule: Packed, batch: Batch):
        self.batch, self.model = batch, RunningModel(rule.draft, batch, "draft")
        self.steps = min(rule.depth, batch.canvas.width - 1)
        self.chance: Tensor | None = None
        self.row: PackedRow | None = None

    def wrap(self, session: Session, batch: Batch) -> Session:
        """Replace the target's calls by packed ones, but for the first."""
        self.row = PackedRow(session, batch)
        return self.row

    def draft(self, step: Step) -> Drafts:
        """Return node 0 and the drafted prefixes, N = steps + 1."""
        node0, masked = step.node0, step.masked
        state, left, time = node0, masked, torch.where(masked, NEVER, 0)
        for number in range(1, self.steps + 1):
            scores = self._reveal(state, left)
            commit = best(scores.confidence, left)
            state = torch.where(commit, scores.token, state)
            time, left = torch.where(commit, number, time), left & ~commit
        revealed = Revealed(state, time, masked)
        assert self.row is not None
        self.row.revealed = revealed
        node = torch.arange(self.steps + 1, device=node0.device)
        filled = (masked.cumsum(-1)[:, None] <= node[:, None]) & masked[:, None]
        unbroken = (~left).long().cumprod(-1).bool()
        valid = node <= (unbroken & masked).sum(-1, keepdim=True)
        tokens = torch.where(filled, state[:, None], node0[:, None])
        return PackedDrafts(tokens, valid, node.expand_as(valid), None, revealed, self.chance)

    def _reveal(self, state: Tensor, left: Tensor) -> Scores:
        """Call the draft model; at temperature > 0 sample with this iteration's noise."""
        logits, sequence = self.model.logits(state)
        batch, vocab, noise = self.batch, logits.shape[-1], None
        if batch.temperature > 0:
            noise = batch.noise(vocab, sequence, stream=4 * batch.iteration + DRAFT)
            if self.chance is None:
                self.chance = logits.new_zeros(*state.shape, vocab)
            fresh = (logits / batch.temperature).softmax(-1)
            open_now = left[sequence][..., None]
            self.chance[sequence] = torch.where(open_now, fresh, self.chance[sequence])
        found = score(logits, noise, batch.temperature, batch.detail)
        return found.map(lambda part: scatter_rows(sequence, part, state.shape))


@register
@dataclass(frozen=True)
class Rejection(Acceptor):
    """Accept a drafted token with probability min(1, q / p), from the left.

    At the first refusal sample from (q - p)+. p is the draft model's distribution at the reveal, q
    the target's in the packed row, both at the run's temperature. Approximate, because the packed
    row is.

    Example: p(5) = .8, q(5) = .4: token 5 is accepted half of the time.

    Raises:
        UserError: another drafter than `packed`, or temperature 0 (it would be `token_chain`).
    """

    name: ClassVar[str] = "rejection"

    @property
    def needs(self) -> Needs:
        """Ask for the target's distributions."""
        return Needs(logits=True)

    def check(self, config: DecodeConfig) -> None:
        """Raise UserError for other drafters and for temperature 0."""
        if not isinstance(config.drafter, Packed) or config.temperature == 0:
            raise UserError(
                "acceptor 'rejection' needs drafter 'packed' and temperature > 0; at temperature 0"
                " use 'token_chain'."
            )

    def start(self, batch: Batch) -> Acceptor:
        """Return the rule with the batch's noise at hand."""
        return RunningRejection(batch)


class RunningRejection(Acceptor):
    """`Rejection` on one batch."""

    def __init__(self, batch: Batch):
        self.batch = batch

    def accept(self, drafts: Drafts, verified: Verified) -> Path:
        """Walk over the accepted prefix.

        The scores' token at the first refused position becomes the correction.
        """
        assert isinstance(drafts, PackedDrafts) and drafts.chance is not None
        assert drafts.revealed is not None
        state, time, masked = drafts.revealed.parts()
        q = (self._target(verified, state) / self.batch.temperature).softmax(-1)
        stream = 4 * (self.batch.iteration + 1)
        gumbel = self.batch.noise(1, stream=stream + TEST)[..., 0]
        noise = self.batch.noise(q.shape[-1], stream=stream + CORRECTION)
        uniform = (-(-gumbel).exp()).exp()
        accepted, correction = judge(state, drafts.chance, q, uniform, noise)
        refused = masked & (time > 0) & ~accepted
        good = masked & (refused.cumsum(-1) == 0)
        # a state that ends or completes may be reached, but nothing leads on from it
        live = verified.live
        reachable = torch.minimum(drafts.valid.sum(-1) - 1, live.long().cumprod(-1).sum(-1))
        count = torch.minimum(good.sum(-1), reachable)
        node = torch.arange(drafts.level.shape[1], device=count.device)
        path = torch.where(node <= count[:, None], node, 0)
        stands = (verified.masked & live[..., None]) & refused[:, None]
        chance = q.gather(-1, correction[..., None])[..., 0]
        scores = verified.scores
        token = torch.where(stands, correction[:, None], scores.token)
        confidence = torch.where(stands, chance[:, None], scores.confidence)
        return Path(path, count + 1, Scores(token, confidence, *_details(scores)))

    def _target(self, verified: Verified, state: Tensor) -> Tensor:
        """Return the target's logits at the mask copies, `[S, W, V]`: those of node 0."""
        logits, where = verified.logits, verified.where
        assert logits is not None and where is not None
        first = (where.node == 0) & ~where.next_block
        found = logits.new_zeros(*state.shape, logits.shape[-1])
        found[where.sequence[first], where.offset[first]] = logits[first]
        return found


def _details(scores: Scores) -> tuple[Tensor | None, ...]:
    return scores.margin, scores.entropy, scores.gap


def judge(
    token: Tensor, p: Tensor, q: Tensor, uniform: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Return whether each drafted `token` `[S, W]` is accepted, and its correction otherwise.

    `p`, `q` `[S, W, V]` are the distributions of draft and target, `uniform` `[S, W]` is in (0, 1),
    `noise` `[S, W, V]` is Gumbel noise. Over many draws the outcome (the token if accepted, else
    the correction) is distributed as q.
    """
    mine = p.gather(-1, token[..., None])[..., 0]
    theirs = q.gather(-1, token[..., None])[..., 0]
    left = (q - p).clamp(min=0)
    # where both agree nothing is left to sample from, and nothing is refused
    left = torch.where(left.sum(-1, keepdim=True) > 0, left, q)
    return uniform * mine <= theirs, argmax_lowest(left.log() + noise)


register_decoder(
    "simsd",
    Decoder(
        LeftToRight(1),
        Packed(),
        TokenChain(),
        options=("drafter", "acceptor"),
        exchange=("acceptor",),
        title="SimSD",
        source=(
            "SimSD, arXiv 2606.02544, its code; approximate (psd with drafter='draft_model' is the "
            "exact alternative)"
        ),
    ),
)
