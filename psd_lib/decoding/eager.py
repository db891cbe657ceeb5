"""Eager drafting (FreeDave, arXiv 2510.00294, its code): drafts go on into the next blocks of a
block-causal model.

The window then spans the current block and `reach` further ones. One call scores all of them, and
since a block never sees what comes later, the scores of the first block that a state leaves open
are those that decoding block by block would see there: on them alone the policy acts, so `replay`
stays exact. The scores of the blocks behind are stale, made before the blocks in front were
complete; they only fill drafts, once a draft has filled the blocks in front. Blocks that enter the
window with a walk across a boundary have no scores yet and are drafted from the next call on.

Calls are never more than the policy's own. That they are never more than with drafts inside the
block is no theorem (a longer walk starts the next drafts elsewhere); each call also runs `reach`
more blocks per state.

Example, width 2, reach 1, `_` masked, `|` the block boundary::

    state    [7, _ | _, _]    its scores say 8 | 3 4
    node 0   [7, 8 | _, _]    the policy's step; it sees block 1 of the window from here on
    node 1   [7, 8 | 3, _]    a draft from stale scores, accepted if the policy's step from node 0 is this
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from psd_lib.decoding.acceptance import Replay
from psd_lib.decoding.canvas import Canvas
from psd_lib.decoding.denoiser import Denoiser
from psd_lib.decoding.scores import Scores
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.decoding.policies import Policy
    from psd_lib.decoding.presets import DecodeConfig


class WideCanvas(Canvas):
    """A canvas whose window spans 1 + `reach` blocks and starts at the first one that is open."""

    def write(self, tokens: Tensor, complete: Tensor, final: Tensor) -> None:
        """Make `tokens` `[S, span]` the state; the window moves past every complete block in front."""
        opened = (tokens == self.mask_id).unflatten(-1, (-1, self.width)).any(-1).cumsum(-1) > 0
        self.moved = self.width * (~opened).sum(-1) * (~final & ~self.done)
        super().write(tokens, torch.zeros_like(complete), final)
        self.start = self.start + self.moved

    def carry(self, scores: Scores) -> Scores:
        """The scores moved along with the windows; a mask that no call has seen yet gets the mask
        token and confidence 0.

        Example, width 2, moved by 2: tokens [7 8 3 4] become [3 4 _ _].
        """
        source = torch.arange(self.span, device=self.start.device) + self.moved[:, None]
        seen, source = source < self.span, source.clamp(max=self.span - 1)
        tokens, _ = self.window()
        moved = scores.map(lambda value: value.gather(1, source).masked_fill(~seen, 0))
        return replace(moved, token=torch.where(seen, moved.token, tokens))


class OpenBlock:
    """A policy that acts on the first open block of a wider window and sees nothing else of it."""

    def __init__(self, policy: Policy, width: int):
        self.policy, self.width = policy, width

    def __getattr__(self, name: str):
        return getattr(self.policy, name)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """The policy's choice in the block, bool `[..., span]`.

        Example, width 2, masked [0 0 1 1 1 1]: the policy is shown positions 2 and 3.
        """
        blocks = masked.unflatten(-1, (-1, self.width))
        passed = (
            (blocks.any(-1).cumsum(-1) == 0).sum(-1, keepdim=True).clamp(max=blocks.shape[-2] - 1)
        )
        index = passed[..., None].expand(*passed.shape, self.width)

        def shown(value: Tensor) -> Tensor:
            return value.unflatten(-1, (-1, self.width)).gather(-2, index)[..., 0, :]

        chosen = self.policy.select(scores.map(shown), shown(masked))
        return torch.zeros_like(blocks).scatter(-2, index, chosen[..., None, :]).flatten(-2)


def open_canvas(
    denoiser: Denoiser,
    prompts: list[list[int]],
    config: DecodeConfig,
    width: int,
    absolute_blocks: bool,
    device: torch.device | str,
) -> Canvas:
    """The canvas that a config decodes on: a wide one for eager drafts. Raises UserError where
    these do not fit.
    """
    if not (getattr(config.builder, "eager", False) and config.drafts):
        return Canvas(denoiser, prompts, config.gen_length, width, absolute_blocks, device)
    if denoiser.sees_future:
        raise UserError(
            "eager drafting needs a block-causal model, such as the sdar family, but the attention"
            " of this one is bidirectional, so finished blocks change with every commit; leave"
            " eager out."
        )
    if not getattr(config.cache, "wide", False):
        raise UserError(
            f"cache {config.cache.name!r} does not fit eager drafting; use 'none' or 'exact_block',"
            " or leave eager out."
        )
    reach = min(config.builder.reach(width), -(-config.gen_length // width))
    return WideCanvas(denoiser, prompts, config.gen_length, width, absolute_blocks, device, reach)


def check_eager(config: DecodeConfig) -> None:
    """Raise UserError where eager drafts would not be exact, whatever the model."""
    if not getattr(config.builder, "eager", False):
        return
    if not isinstance(config.acceptor, Replay):
        raise UserError(
            f"eager drafting is exact under acceptor 'replay' only, got {config.acceptor.name!r};"
            " use 'replay' or leave eager out."
        )
    if config.stop is not None:
        raise UserError(
            f"eager drafting cannot be combined with stop rule {config.stop.name!r}, which looks at"
            " the current block only; leave one of them out."
        )
    if hasattr(config.policy, "begin"):
        raise UserError(
            f"eager drafting cannot be combined with policy {config.policy.name!r}, which follows"
            " one block at a time; leave eager out or use a policy that depends on the state"
            " alone, such as 'confidence'."
        )
