"""A draft model as builder: a smaller model decodes ahead, and its states are what the target
checks (SimSD, made exact).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from psd_lib.decoding.caches import sight, visibility
from psd_lib.decoding.checks import at_least
from psd_lib.decoding.drafts.base import Drafts
from psd_lib.decoding.policies import Policy
from psd_lib.decoding.scores import Scores, ban, position_gumbel, score
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.decoding.loop import Loop
    from psd_lib.models import Model


@dataclass(frozen=True)
class DraftModel:
    """The states of a smaller model after 1, 2, ..., `depth` of its own policy steps from the
    certain state.

    Exact under `replay`: the target checks every state in a row of its own, so this is SimSD's
    setting (arXiv 2606.02544) without its approximation. Each iteration costs `depth` calls of the
    draft model, which the ledger counts apart; they recompute the whole canvas. At temperature > 0
    both models see the same noise. `draft` is the name of a model or a loaded one; UserError where
    it is missing or speaks other tokens than the target.

    Example, depth 2, draft model's scores after each step in brackets, `_` masked::

        node 0   [7, _, _, _]   token [., 1, 2, 3] confidence [., .3, .6, .5]
        node 1   [7, _, 2, _]   token [., 5, ., 3] confidence [., .7, ., .6]
        node 2   [7, 5, 2, _]
    """

    depth: int = 3
    draft: Any = field(default=None, repr=False)
    name: ClassVar[str] = "draft_model"

    def __post_init__(self):
        at_least("depth", self.depth, 0)

    def attach(self, model: Model) -> DraftModel:
        """With the draft model loaded and its tokenizer compared with the target's."""
        return replace(self, draft=attached(self.draft, model))

    def begin(self, loop: Loop) -> BoundDraftModel:
        """With the draft model at work on this batch."""
        return BoundDraftModel(self, Drafting(loop, self.draft))

    def describe(self) -> dict[str, Any]:
        """The depth and the draft model's name."""
        return {"depth": self.depth, "draft": getattr(self.draft, "name", self.draft)}

    @property
    def label(self) -> str:
        """`mini-sdar-draft d=3`."""
        return f"{getattr(self.draft, 'name', self.draft)} d={self.depth}"


class BoundDraftModel:
    """`DraftModel` on one batch."""

    def __init__(self, plug: DraftModel, drafting: Drafting):
        self.plug, self.drafting = plug, drafting

    def build(
        self, node0: Tensor, masked: Tensor, stale: Scores, policy: Policy, taken: Tensor
    ) -> Drafts:
        """Node 0 and the draft model's states, N = depth + 1."""
        states, valid = [node0], [torch.ones_like(taken, dtype=torch.bool)]
        for _ in range(self.plug.depth):
            scores = self.drafting.scores(states[-1])
            valid.append(masked.any(-1))
            commit = policy.select(scores, masked) & masked
            states.append(torch.where(commit, scores.token, states[-1]))
            masked = masked & ~commit
        level = torch.arange(len(states), device=node0.device)
        exists = torch.stack(valid, 1)
        return Drafts(torch.stack(states, 1), exists, level.expand_as(exists))


class Drafting:
    """The draft model's calls on one batch."""

    def __init__(self, loop: Loop, draft: Model):
        if not hasattr(draft, "denoiser"):
            raise UserError(
                "the draft model is not loaded: decode through psd_lib.generate, or call"
                " attach(model) first."
            )
        self.loop, self.draft = loop, draft

    def scores(self, state: Tensor) -> Scores:
        """The draft model's scores `[S, W]` of window contents `state`; one call over the sequences
        still decoding.
        """
        logits, sequence = self.logits(state)
        canvas, config = self.loop.canvas, self.loop.config
        noise = None
        if config.temperature > 0:
            places = canvas.columns()[sequence] - canvas.pad[sequence, None]
            noise = position_gumbel(
                self.loop.seeds[sequence, None].expand_as(places), places, logits.shape[-1]
            )
        found = score(logits, noise, config.temperature, self.loop.detail)
        blank = torch.zeros(state.shape, device=state.device)
        return found.map(lambda part: blank.to(part.dtype).index_copy(0, sequence, part))

    def logits(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Banned float32 logits `[A, W, V]` of the A sequences still decoding, and their numbers
        `[A]`.
        """
        canvas, denoiser, asked = self.loop.canvas, self.draft.denoiser, self.loop.asked
        sequence = asked.nonzero()[:, 0].to(canvas.ids.device)
        columns, size = canvas.columns()[sequence], canvas.end
        ids = canvas.ids.scatter(1, canvas.columns(), state)[sequence, :size]
        positions = canvas.positions[sequence, :size]
        visible = visibility(
            positions,
            sight(denoiser, canvas, sequence, canvas.start[sequence], size),
            denoiser.sees_future,
        )
        row = torch.arange(len(sequence), device=ids.device).repeat_interleave(canvas.width)
        with self.loop.recorder.call("draft", asked[:, None], model=self.draft.name) as call:
            call.query = call.key = asked * canvas.real(size)
            logits = denoiser.logits(
                ids, positions, visible, row, columns.clamp(max=size - 1).flatten()
            )
        return (
            ban(logits, canvas.mask_id, denoiser.vocab_size).reshape(
                len(sequence), canvas.width, -1
            ),
            sequence,
        )


def attached(draft: Any, target: Model) -> Model:
    """The draft model of `target`, loaded. Raises UserError where it is missing or has another
    tokenizer.
    """
    from psd_lib.models.companions import companion

    if draft is None:
        raise UserError(
            "this decoder needs a draft model: pass draft=NAME, such as draft='mini-sdar-draft'."
        )
    return companion(target, draft, "draft")
