"""SimSD (arXiv 2606.02544): a draft model fills the block, one packed row of the target checks it;
approximate.

The target sees the drafted tokens (D) and one mask copy (M) of each in a single row, with a mask
that lets position i see what the draft model saw when it revealed i. The mask leaks: M_i sees M_j
of the same or a later step, and M_j sees D_i if it was revealed before, so from the second layer on
a prediction depends on the token that it is asked to check (tested). `draft_model` is the exact
alternative.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.caches import Answer, Ask, Session, sight, to_device, visibility
from psd_lib.decoding.canvas import Canvas
from psd_lib.decoding.checks import at_least
from psd_lib.decoding.denoiser import Denoiser
from psd_lib.decoding.drafts.base import Drafts
from psd_lib.decoding.drafts.draft_model import Drafting, attached
from psd_lib.decoding.policies import Policy, TopK
from psd_lib.decoding.scores import Scores, ban, position_gumbel, score
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.decoding.loop import Loop
    from psd_lib.models import Model

NEVER = 1 << 20


@dataclass(frozen=True)
class Packed:
    """SimSD's drafts: prefixes, from the left, of what the draft model reveals in at most `depth`
    steps of one position.

    Goes with the policy `left_to_right`, whose step is the correction after a refused token
    (truncate), and with the acceptors `token_chain` (greedy match) or `rejection`. It makes the
    target's call itself, without a cache. Where the paper stores a finished block in a call of its
    own, a second row of the same call does; so the first token of a block is the target's own.
    UserError without a draft model, and for targets that are not plain block-causal.

    Example, the draft model reveals position 2, then 1, then 3, `_` masked::

        node 0   [7, _, _, _]      node 1   [7, 5, _, _]
        node 2   [7, 5, 2, _]      node 3   [7, 5, 2, 3]
    """

    depth: int = 31
    draft: Any = field(default=None, repr=False)
    name: ClassVar[str] = "packed"
    approximate: ClassVar[bool] = True
    note: ClassVar[str] = (
        "SimSD: the packed row leaks a token under test into its own check, so it is approximate;"
        " blocks are stored by a second row of the same call instead of a call of their own, and"
        " the first token of a block is the target's."
    )

    def __post_init__(self):
        at_least("depth", self.depth, 1)

    def attach(self, model: Model) -> Packed:
        """With the draft model loaded and its tokenizer compared with the target's."""
        return replace(self, draft=attached(self.draft, model))

    def begin(self, loop: Loop) -> BoundPacked:
        """With the draft model at work, and the target's call replaced by the packed one."""
        denoiser = loop.denoiser
        if denoiser.sees_future or denoiser.causal_context or denoiser.shift:
            raise UserError(
                "SimSD's packed row needs a block-causal target without shift, such as the sdar"
                " family; for other targets use builder 'draft_model', which is exact."
            )
        return BoundPacked(self, loop)

    def describe(self) -> dict[str, Any]:
        """The depth and the draft model's name."""
        return {"depth": self.depth, "draft": getattr(self.draft, "name", self.draft)}

    @property
    def label(self) -> str:
        """`mini-sdar-draft packed`."""
        return f"{getattr(self.draft, 'name', self.draft)} packed"


class BoundPacked:
    """`Packed` on one batch. `chance` `[S, W, V]` is the draft model's distribution at each
    position's reveal.
    """

    def __init__(self, plug: Packed, loop: Loop):
        self.loop, self.drafting = loop, Drafting(loop, plug.draft)
        self.steps = min(plug.depth, loop.canvas.width - 1)
        self.rounds, self.chance = 0, None
        loop.session = self.row = PackedRow(self, loop.session, loop.denoiser, loop.canvas)

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """Node 0 and the drafted prefixes, N = steps + 1."""
        state, left = node0, masked
        time = torch.where(masked, NEVER, 0)
        for step in range(1, self.steps + 1):
            scores = self._reveal(state, left)
            commit = TopK(1).select(scores, left) & left
            state, time, left = (
                torch.where(commit, scores.token, state),
                torch.where(commit, step, time),
                left & ~commit,
            )
        self.rounds += 1
        self.row.drafted = (state, time, masked)
        node = torch.arange(self.steps + 1, device=node0.device)
        filled = (masked.cumsum(-1)[:, None] <= node[:, None]) & masked[:, None]
        unbroken = (~left).long().cumprod(-1).bool()
        valid = node <= (unbroken & masked).sum(-1, keepdim=True)
        return Drafts(
            torch.where(filled, state[:, None], node0[:, None]), valid, node.expand_as(valid)
        )

    def _reveal(self, state: Tensor, left: Tensor) -> Scores:
        """One call of the draft model; at temperature > 0 tokens are sampled with noise of this
        round alone.
        """
        logits, sequence = self.drafting.logits(state)
        temperature, noise = self.loop.config.temperature, None
        if temperature > 0:
            noise = self.noise(1, logits.shape[-1])[sequence]
            if self.chance is None:
                self.chance = logits.new_zeros(*state.shape, logits.shape[-1])
            fresh = (logits / temperature).softmax(-1)
            self.chance[sequence] = torch.where(
                left[sequence][..., None], fresh, self.chance[sequence]
            )
        found = score(logits, noise, temperature, self.loop.detail)
        blank = torch.zeros(state.shape, device=state.device)
        return found.map(lambda part: blank.to(part.dtype).index_copy(0, sequence, part))

    def noise(self, stream: int, vocab: int) -> Tensor:
        """Gumbel noise `[S, W, V]` by prompt, position, round and stream (draft, test, correction)."""
        canvas = self.loop.canvas
        seeds = self.loop.seeds + 0x51ED27 * (4 * self.rounds + stream)
        places = canvas.columns() - canvas.pad[:, None]
        return position_gumbel(seeds[:, None].expand_as(places), places, vocab)


class PackedRow:
    """The session: one packed row per sequence for its drafts, and one plain row where they
    complete the block.
    """

    def __init__(self, builder: BoundPacked, plain: Session, denoiser: Denoiser, canvas: Canvas):
        self.builder, self.plain, self.denoiser, self.canvas = builder, plain, denoiser, canvas
        self.drafted: tuple[Tensor, Tensor, Tensor] | None = None
        self.checked: Tensor | None = None

    def forward(self, ask: Ask) -> Answer:
        """The first window plainly, then packed rows; `checked` `[S, W, V]` keeps the banned logits
        at the mask copies.
        """
        if self.drafted is None:
            return self.plain.forward(ask)
        canvas, width = self.canvas, self.canvas.width
        device = canvas.ids.device
        packed = (ask.wanted.any(-1) & ~ask.complete).any(-1)
        whole = ask.wanted.any(-1) & ask.complete
        own = (ask.start + width * (1 + whole.any(-1))).clamp(max=canvas.end)
        size = int(own.max())
        rows = [packed.nonzero()[:, 0], *whole.nonzero().unbind(1)]
        of_packed, of_whole, node = to_device(device, *rows)
        ids, positions, visible = self._rows(ask.tokens, of_packed, of_whole, node, size)
        where = ask.wanted.nonzero()
        done = ask.complete[where[:, 0], where[:, 1]]
        number = torch.zeros(ask.complete.shape, dtype=torch.long)
        number[packed] = torch.arange(len(rows[0]))[:, None]
        number[whole] = len(rows[0]) + torch.arange(len(rows[1]))
        row = number[where[:, 0], where[:, 1]]
        column = torch.where(done, ask.start[where[:, 0]], size) + width + where[:, 2]
        logits = self.denoiser.logits(ids, positions, visible, *to_device(device, row, column))
        self._keep(logits, where, done)
        query = (packed + whole.sum(-1)) * (canvas.real(own) + 2 * width)
        return Answer(logits, query, query)

    def settle(self, node: Tensor) -> None:
        """Nothing is kept of the walk."""

    def _keep(self, logits: Tensor, where: Tensor, done: Tensor) -> None:
        shape = (*self.drafted[0].shape, logits.shape[-1])
        self.checked = logits.new_zeros(shape, dtype=torch.float32)
        sequence, offset, here = to_device(
            logits.device, where[~done][:, 0], where[~done][:, 2], (~done).nonzero()[:, 0]
        )
        self.checked[sequence, offset] = ban(
            logits[here], self.denoiser.mask_id, self.denoiser.vocab_size
        )

    def _rows(
        self, tokens: Tensor, packed: Tensor, whole: Tensor, node: Tensor, size: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Ids, positions `[R, size + 2 W]` and what they see: packed rows first, then plain rows of
        completed blocks.
        """
        canvas, width = self.canvas, self.canvas.width
        state, time, masked = self.drafted
        sequence = torch.cat([packed, whole])
        is_packed = torch.arange(len(sequence), device=sequence.device) < len(packed)
        window = torch.cat([tokens[packed, 0], tokens[whole, node]])
        columns = canvas.columns()[sequence]
        context = canvas.ids[sequence].scatter(1, columns, window)[:, :size]
        copies = torch.full_like(window, canvas.mask_id)
        places = columns - canvas.pad[sequence, None]
        ids = torch.cat([context, state[sequence], copies], 1)
        positions = torch.cat([canvas.positions[sequence, :size], places, places], 1)
        begin = torch.where(is_packed, canvas.start[sequence], canvas.start[sequence] + width)
        base = visibility(
            positions[:, :size], sight(self.denoiser, canvas, sequence, begin, size), False
        )[:, 0]
        at = torch.arange(size, device=ids.device)
        inside = (at >= columns[:, :1]) & (at < columns[:, :1] + width)
        hidden = torch.zeros_like(canvas.ids, dtype=torch.bool)[sequence].scatter(
            1, columns, masked[sequence]
        )[:, :size]
        known = (positions[:, :size] >= 0) & ((at < columns[:, :1]) | (inside & ~hidden))
        base = base & ~(hidden & is_packed[:, None])[:, None, :]
        exists = torch.cat([time[sequence] < NEVER, torch.ones_like(masked[sequence])], 1) & masked[
            sequence
        ].repeat(1, 2)
        slots = packed_mask(time[sequence]) & (exists & is_packed[:, None])[:, None, :]
        below = torch.cat([known[:, None].expand(-1, 2 * width, -1), slots], -1)
        return (
            ids,
            positions,
            torch.cat([torch.nn.functional.pad(base, (0, 2 * width)), below], 1)[:, None],
        )


def packed_mask(time: Tensor) -> Tensor:
    """Who sees whom among drafted tokens D and mask copies M, bool `[S, 2 W, 2 W]`, D before M;
    `time` `[S, W]` of reveal.

    D_i sees D_j with t_j <= t_i and M_j with t_j > t_i; M_i sees D_j with t_j < t_i and M_j with
    t_j >= t_i: every position once, as a token if it was revealed by then, else as a mask.

    Example, reveal times [2, 1], rows and columns D0 D1 M0 M1::

        1 1 0 0
        0 1 1 0
        0 1 1 0
        0 0 1 1
    """
    own, other = time[:, :, None], time[:, None, :]
    drafted = torch.cat([other <= own, other > own], -1)
    copies = torch.cat([other < own, other >= own], -1)
    return torch.cat([drafted, copies], 1)
