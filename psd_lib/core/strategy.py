"""The strategy contract: what a policy, a drafter, an acceptor and a stop rule may declare and do.

A strategy is a frozen dataclass that describes itself: its fields are its options, all with
defaults. Every hook has a default, so a strategy overrides only what it needs. What changes while a
batch is decoded never lives in the dataclass: `start` returns an object of the same kind that holds
it (by convention `RunningX` for strategy `X`), one per batch.

The engine calls the hooks in this order:

    once a batch       start, wrap
    every iteration    policy.select, policy.revoke      the certain step, giving node 0
                       drafter.draft                     guessed states above node 0
                       policy.process_logits             on the logits of the one call
                       acceptor.accept                   which of the states are reached
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from psd_lib.core.batch import Batch
from psd_lib.core.cache import Session
from psd_lib.core.canvas import Canvas
from psd_lib.core.denoiser import Denoiser, SecondModel, model_name
from psd_lib.core.described import Described
from psd_lib.core.scores import Scores
from psd_lib.core.states import Drafts, Path, Verified, Where

if TYPE_CHECKING:
    from psd_lib.core.config import DecodeConfig


@dataclass(frozen=True)
class Needs:
    """What a strategy asks of the engine beyond each position's proposed token and its confidence.

    `detail`: margin, entropy and logit gap. `top_tokens`: how many most likely tokens of each
    position (1 is the proposed token alone). `logits`: the acceptor gets the call's logits.
    `second_model`: the name of the strategy's field that holds a second model, "" for none.
    """

    detail: bool = False
    top_tokens: int = 1
    logits: bool = False
    second_model: str = ""


class Strategy(Described):
    """What all strategies have in common: what they need, and what they can be combined with."""

    @property
    def needs(self) -> Needs:
        """Return what the engine has to provide; nothing more than scores unless overridden."""
        return Needs()

    def describe(self) -> dict[str, Any]:
        """Return name and options as plain data; a second model is described by its name."""
        described, second = super().describe(), self.needs.second_model
        return {**described, second: model_name(described[second])} if second else described

    def check(self, config: DecodeConfig) -> None:
        """Raise UserError when the strategy cannot be combined with the rest of `config`."""

    def check_second_model(self, second: SecondModel) -> None:
        """Raise UserError when the loaded second model is of a kind that does not fit."""

    def wrap(self, session: Session, batch: Batch) -> Session:
        """Return what makes the batch's model calls: `session`, or a session around it."""
        return session


class Policy(Strategy):
    """A transfer policy, the spatial axis: which masked positions does one reference step commit?

    `select` keeps three promises, which `register` checks: it commits masked positions only, at
    least one wherever any is left, and works over all leading dimensions alike. Ties go to the
    lowest position.

    `no_drafts` and `no_stop` are reasons why drafts or stop rules are refused, empty where they are
    allowed: drafts are refused for policies whose next step depends on more than the state.
    `fixed_order`: which positions a step commits does not depend on the scores.
    """

    no_drafts: ClassVar[str] = ""
    no_stop: ClassVar[str] = ""
    fixed_order: ClassVar[bool] = False

    @property
    def max_commits(self) -> int | None:
        """Return the most positions that a step ever commits; None if there is no such bound."""
        return None

    @property
    def bar(self) -> float:
        """Return the confidence from which a position is committed in any case; inf for none."""
        return float("inf")

    def start(self, batch: Batch) -> Policy:
        """Return the policy at work on one batch: itself, unless it has to remember something.

        Raises:
            UserError: the policy does not fit the batch's model.
        """
        return self

    def process_logits(self, logits: Tensor, where: Where) -> Tensor:
        """Return the banned float32 logits `[n, V]` of a call, changed or not, before scoring."""
        return logits

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Return the positions to commit, bool `[..., W]`, a subset of `masked` `[..., W]`."""
        raise NotImplementedError

    def priority(self, scores: Scores) -> Tensor:
        """Return how early each position is likely to be committed, float `[..., W]`.

        Higher is earlier; drafts fill positions in this order. The default is confidence.
        """
        return scores.confidence

    def revoke(self, commit: Tensor, masked: Tensor) -> Tensor | None:
        """Return decided positions to mask again after `commit`, bool `[S, W]`; None for none."""
        return None


@dataclass(frozen=True)
class Step:
    """The policy's certain step of one iteration: what a drafter sees. Tensors are `[S, W]`.

    `tokens` and `open` (bool, what is masked) are the state before the step, `scores` its scores;
    `node0` and `masked` are the state after it, for which `scores` are stale; `committed` int64
    `[S]` counts what the step committed.
    """

    tokens: Tensor
    open: Tensor
    scores: Scores
    node0: Tensor
    masked: Tensor
    committed: Tensor
    policy: Policy


class Drafter(Strategy):
    """A drafter, the temporal axis: which later states are worth checking in the same call?

    It sees the certain step and the scores from before it, and guesses states that the policy may
    reach next. Guesses cost no call and may be arbitrarily wrong: acceptance decides. Nodes contain
    node 0 and differ from it only at masked positions.

    `exact`: False if the drafter makes the model's call in an approximate way of its own, so that
    no acceptor is exact. `rivals`: nodes may hold something else instead of node 0's commit.
    """

    exact: ClassVar[bool] = True
    rivals: ClassVar[bool] = False
    depth: int = 1

    @property
    def level_size(self) -> int | str | None:
        """Return how many tokens a level adds.

        A number, "policy" for as many as the policy's step committed, or None where levels differ.
        """
        return None

    def open_canvas(
        self, denoiser: Denoiser, prompts: list[list[int]], gen_length: int, width: int
    ) -> Canvas:
        """Return the canvas to decode on; raise UserError if the drafts do not fit the model."""
        return Canvas(denoiser, prompts, gen_length, width, denoiser.device)

    def wrap_policy(self, policy: Policy, canvas: Canvas) -> Policy:
        """Return what acts as the policy on the canvas's windows."""
        return policy

    def start(self, batch: Batch) -> Drafter:
        """Return the drafter at work on one batch; raise UserError if it does not fit the model."""
        return self

    def draft(self, step: Step) -> Drafts:
        """Return node 0 and the guessed states."""
        raise NotImplementedError


@dataclass(frozen=True)
class NoDraft(Drafter):
    """No guesses: the bare policy."""

    name: ClassVar[str] = "none"
    depth = 0

    def draft(self, step: Step) -> Drafts:
        """Return node 0 alone."""
        valid = torch.ones_like(step.committed, dtype=torch.bool)[:, None]
        return Drafts(step.node0[:, None], valid, torch.zeros_like(valid, dtype=torch.long))

    @property
    def label(self) -> str:
        """Return the empty text."""
        return ""


class Acceptor(Strategy):
    """An acceptance rule: which of the guessed states are reached?

    `picks_rivals`: the path may start at a node that does not contain node 0.
    """

    picks_rivals: ClassVar[bool] = False

    def start(self, batch: Batch) -> Acceptor:
        """Return the rule at work on one batch; raise UserError if it does not fit the model."""
        return self

    def accept(self, drafts: Drafts, verified: Verified) -> Path:
        """Return the path. Rules that walk from state to state inherit `accept.EdgeAcceptor`."""
        raise NotImplementedError

    def exact_for(self, policy: Policy, drafter: Drafter) -> bool:
        """Return whether outputs are provably those of the policy decoded step by step."""
        return False

    @property
    def label(self) -> str:
        """Return the name."""
        return self.name


class StopRule(Strategy):
    """A stop rule: when is the rest of the block settled, so that it may be filled at once?

    It is a function of the state alone, so drafts replay it exactly; but outputs are no longer
    those of the policy.
    """

    @property
    def needs(self) -> Needs:
        """Stop rules may read margin, entropy and gap."""
        return Needs(detail=True)

    def stop(self, scores: Scores, masked: Tensor, progress: Tensor) -> Tensor:
        """Return whether the rest of the block is settled, bool `[...]`.

        `scores` and `masked` are `[..., W]`; `progress` `[...]` is the decided share of gen_length.
        """
        raise NotImplementedError


class Observer(Strategy):
    """Something that looks at every iteration and changes nothing (a step callback)."""

    def on_step(self, batch: Batch, step: Step) -> None:
        """Look at the policy's certain step."""
        raise NotImplementedError
