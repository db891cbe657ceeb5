"""Windows of several blocks, for drafts that go on into the next blocks of a block-causal model.

FreeDave's eager mode (arXiv 2510.00294, its code). The window spans the current block and `reach`
further ones. One call scores all of them, and since a block never sees what comes later, the scores
of the first block that a state leaves open are those that decoding block by block would see there:
on them alone the policy acts, so `replay` stays exact. The scores of the blocks behind are stale,
made before the blocks in front were complete; they only fill drafts, once a draft has filled the
blocks in front. Blocks that enter the window with a walk across a boundary have no scores yet and
are drafted from the next call on.

Calls are never more than the policy's own. That they are never more than with drafts inside the
block is not a theorem (a longer walk starts the next drafts elsewhere); each call also runs `reach`
more blocks per state.

Example, width 2, reach 1, `_` masked, `|` the block boundary::

    state    [7, _ | _, _]    its scores say 8 | 3 4
    node 0   [7, 8 | _, _]    the policy's step; it sees block 1 of the window from here on
    node 1   [7, 8 | 3, _]    a draft from stale scores, accepted if the policy's step is this
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from psd_lib.core.canvas import Canvas
from psd_lib.core.scores import Scores
from psd_lib.core.states import Where
from psd_lib.core.strategy import Needs, Policy


class WideCanvas(Canvas):
    """A canvas whose window spans 1 + `reach` blocks and starts at the first one that is open."""

    def write(self, tokens: Tensor, complete: Tensor, final: Tensor) -> None:
        """Make `tokens` `[S, span]` the state; the window moves past complete blocks in front."""
        opened = (tokens == self.mask_id).unflatten(-1, (-1, self.width)).any(-1).cumsum(-1) > 0
        self.moved = self.width * (~opened).sum(-1) * (~final & ~self.done)
        super().write(tokens, torch.zeros_like(complete), final)
        self.start = self.start + self.moved

    def align(self, scores: Scores) -> Scores:
        """Move the scores along with the windows.

        A mask that no call has seen yet gets the mask token and confidence 0.

        Example, width 2, moved by 2: tokens [7 8 3 4] become [3 4 _ _].
        """
        source = torch.arange(self.span, device=self.start.device) + self.moved[:, None]
        seen, source = source < self.span, source.clamp(max=self.span - 1)
        tokens, _ = self.window()

        def shift(value: Tensor) -> Tensor:
            per_token = value.dim() - source.dim()
            index = source.reshape(*source.shape, *[1] * per_token).expand_as(value)
            blank = ~seen.reshape(*seen.shape, *[1] * per_token)
            return value.gather(1, index).masked_fill(blank, 0)

        moved = scores.map(shift)
        return replace(moved, token=torch.where(seen, moved.token, tokens))


class OpenBlockPolicy(Policy):
    """A policy that acts on the first open block of a wider window and sees nothing else of it."""

    def __init__(self, policy: Policy, width: int):
        self.policy, self.width = policy, width

    @property
    def needs(self) -> Needs:
        """Return what the policy needs."""
        return self.policy.needs

    def process_logits(self, logits: Tensor, where: Where) -> Tensor:
        """Leave it to the policy."""
        return self.policy.process_logits(logits, where)

    def priority(self, scores: Scores) -> Tensor:
        """Leave it to the policy."""
        return self.policy.priority(scores)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the policy's choice in the block, bool `[..., span]`.

        Example, width 2, masked [0 0 1 1 1 1]: the policy is shown positions 2 and 3.
        """
        blocks = masked.unflatten(-1, (-1, self.width))
        passed = (blocks.any(-1).cumsum(-1) == 0).sum(-1, keepdim=True)
        index = passed.clamp(max=blocks.shape[-2] - 1)[..., None]
        index = index.expand(*index.shape[:-1], self.width)

        def shown(value: Tensor) -> Tensor:
            return value.unflatten(-1, (-1, self.width)).gather(-2, index)[..., 0, :]

        chosen = self.policy.select(scores.map(shown), shown(masked))
        return torch.zeros_like(blocks).scatter(-2, index, chosen[..., None, :]).flatten(-2)
