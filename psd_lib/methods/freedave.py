"""FreeDave (arXiv 2510.00294): lossless drafts of the model itself; FreeDave++ over a threshold.

Its eager mode lets drafts go on into the next blocks of a block-causal model (see `wide_window`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from psd_lib.core.accept import EdgeAcceptor, Replay
from psd_lib.core.batch import Batch
from psd_lib.core.canvas import Canvas
from psd_lib.core.chain import Chain, levels_of
from psd_lib.core.checks import switch
from psd_lib.core.denoiser import Denoiser
from psd_lib.core.described import option
from psd_lib.core.policies import TopK
from psd_lib.core.registry import Decoder, register, register_decoder
from psd_lib.core.scores import order
from psd_lib.core.states import Drafts, Verified
from psd_lib.core.strategy import Drafter, Policy, Step
from psd_lib.errors import UserError
from psd_lib.methods.wide_window import OpenBlockPolicy, WideCanvas

if TYPE_CHECKING:
    from psd_lib.core.config import DecodeConfig


@register
@dataclass(frozen=True)
class EagerChain(Chain):
    """PSD's chain, whose drafts go on into the next blocks if `eager` is on.

    Then calls are exact under `replay` only, and the model has to be block-causal.
    """

    eager: bool = option("whether drafts go on into the next blocks (block-causal models)", False)

    def __post_init__(self) -> None:
        super().__post_init__()
        switch("eager", self.eager)

    def blocks_ahead(self, width: int) -> int:
        """Return how many blocks an eager chain can enter: K / (levels that fill a block).

        Rounded up, where K = depth + 1 counts node 0 as FreeDave does.

        Example, width 4: depth 3 enters 1 block, depth 7 enters 2; with levels of 2 tokens 2 and 4.
        """
        size = width if isinstance(self.tokens_per_level, str) else self.tokens_per_level
        return self.depth // -(-width // min(size, width)) + 1

    def check(self, config: DecodeConfig) -> None:
        """Raise UserError for what eager drafts do not go with, whatever the model."""
        if not self.eager:
            return
        if not isinstance(config.acceptor, Replay):
            raise UserError(
                "eager drafting is exact under acceptor 'replay' only, got "
                f"{config.acceptor.name!r}; use 'replay' or leave eager out."
            )
        if config.stop is not None:
            raise UserError(
                f"eager drafting cannot be combined with stop rule {config.stop.name!r}, which "
                "looks at the current block only; leave one of them out."
            )
        if config.policy.no_drafts:
            raise UserError(
                f"eager drafting cannot be combined with policy {config.policy.name!r}, which "
                "follows one block at a time; leave eager out or use a policy that depends on the "
                "state alone, such as 'confidence'."
            )
        if not config.cache.wide:
            raise UserError(
                f"cache {config.cache.name!r} does not fit eager drafting; use 'none' or "
                "'exact_block', or leave eager out."
            )

    def open_canvas(
        self, denoiser: Denoiser, prompts: list[list[int]], gen_length: int, width: int
    ) -> Canvas:
        """Return a canvas with windows as wide as drafts can go.

        Raises:
            UserError: the model's attention is bidirectional.
        """
        if not self.eager or not self.depth:
            return super().open_canvas(denoiser, prompts, gen_length, width)
        if denoiser.sees_future:
            raise UserError(
                "eager drafting needs a block-causal model, such as the sdar family, but the "
                "attention of this one is bidirectional, so finished blocks change with every "
                "commit; leave eager out."
            )
        reach = min(self.blocks_ahead(width), -(-gen_length // width))
        return WideCanvas(denoiser, prompts, gen_length, width, denoiser.device, reach)

    def wrap_policy(self, policy: Policy, canvas: Canvas) -> Policy:
        """Show the policy one block of a wider window."""
        return OpenBlockPolicy(policy, canvas.width) if canvas.reach else policy

    def start(self, batch: Batch) -> Drafter:
        """Return the chain itself, or the one that leaves the block."""
        return RunningEagerChain(self, batch.canvas.width) if self.eager else self

    def describe(self) -> dict[str, Any]:
        """Return name and options; `eager` only where it is on, as rows were named before it."""
        described = super().describe()
        return {key: value for key, value in described.items() if key != "eager" or value}

    @property
    def label(self) -> str:
        """Return the chain's label, with `eager` where it is on."""
        return super().label + (", eager" if self.eager else "")


class RunningEagerChain(Drafter):
    """An eager `Chain` on one batch, over windows of several blocks of `width`."""

    def __init__(self, rule: EagerChain, width: int):
        self.rule, self.width = rule, width

    def wrap_policy(self, policy: Policy, canvas: Canvas) -> Policy:
        """Show the policy one block of a wider window."""
        return self.rule.wrap_policy(policy, canvas)

    def draft(self, step: Step) -> Drafts:
        """Return node 0 and up to `depth` nested guesses over `[S, span]`, block after block.

        No level has parts of two blocks. Blocks that no call has scored yet (their stale token is
        the mask) are not drafted.

        Example, width 2, depth 3, two tokens per level, `_` masked, `|` the block boundary::

            node 0        [7, _ | _, _]
            stale token   [7, 1 | 2, 3]
            node 1        [7, 1 | _, _]
            node 2        [7, 1 | 2, 3]
            node 3        not valid
        """
        stale, blocks = step.scores, (-1, self.width)
        drafted = step.masked & (stale.token != step.node0)
        size = self.rule.level_sizes(step.committed).clamp(min=1)
        inside = drafted.unflatten(-1, blocks)
        priority = step.policy.priority(stale.map(lambda value: value.unflatten(-1, blocks)))
        rank = order(priority, inside)
        levels = (inside.sum(-1) + size[:, None] - 1).div(size[:, None], rounding_mode="floor")
        before = levels.cumsum(-1) - levels
        at = before[..., None] + rank.div(size[:, None, None], rounding_mode="floor")
        level = levels_of(self.rule.depth, step)
        filled = (at.flatten(-2)[:, None] < level[:, None]) & drafted[:, None]
        tokens = torch.where(filled, stale.token[:, None], step.node0[:, None])
        valid = level <= levels.sum(-1, keepdim=True)
        return Drafts(tokens, valid, level.expand(len(step.node0), -1))


@register
@dataclass(frozen=True)
class Subset(EdgeAcceptor):
    """Accept the largest draft whose new pairs are all part of the policy's own step.

    FreeDave++ on full attention. Approximate: a policy step that is only partly taken changes the
    context of what follows. Exact for policies that commit one token a step, where it is `replay`.
    """

    name: ClassVar[str] = "subset"

    def edges(self, drafts: Drafts, verified: Verified) -> Tensor:
        """Lead from i to j if j only adds pairs of i's policy step; more pairs rank higher."""
        child, parent = drafts.tokens[:, None], drafts.tokens[:, :, None]
        contained = ((child == parent) | (child == verified.targets[:, :, None])).all(-1)
        return contained * (child != parent).sum(-1)

    def exact_for(self, policy: Policy, drafter: Drafter) -> bool:
        """Return True for policies that declare one token a step."""
        return policy.max_commits == 1 and drafter.exact


register_decoder(
    "freedave",
    Decoder(
        TopK(1),
        EagerChain(),
        options=("policy", "drafter", "acceptor"),
        exchange=("policy", "acceptor"),
        title="FreeDave",
        source=(
            "FreeDave, arXiv 2510.00294: K drafts are depth K - 1; with a threshold policy "
            "FreeDave++"
        ),
        note=(
            "FreeDave: drafts stay in their block unless eager=True, its mode across blocks. Its "
            "exact_match is replay."
        ),
    ),
)
