"""What engine, drafters and acceptors exchange: guessed states, their scores, the accepted path."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from psd_lib.core.scores import Scores


@dataclass(frozen=True)
class Where:
    """Where the n rows of a call's logits come from, int64 `[n]` each.

    `sequence` of the batch, `node` among its guessed states, `offset` in the window;
    `next_block` bool `[n]`: the window is the one after the block that the state completes.
    """

    sequence: Tensor
    node: Tensor
    offset: Tensor
    next_block: Tensor


@dataclass(frozen=True)
class Drafts:
    """Guessed states of S sequences: N nodes of W window positions, node 0 being the certain one.

    `tokens` int64 `[S, N, W]`; `valid` bool `[S, N]`, False where a sequence has fewer nodes (node
    0 is always valid); `level` int64 `[S, N]`, 0 for node 0 and l + 1 for the children of level l.
    `log_prior` float32 `[S, N]` is the drafter's own log confidence in each node, for
    drafters of rival states; None from all others.
    """

    tokens: Tensor
    valid: Tensor
    level: Tensor
    log_prior: Tensor | None = None


@dataclass(frozen=True)
class Verified:
    """What an acceptor sees: the N guessed states of each sequence after the one call.

    `scores` `[S, N, W]` are fresh; `masked` bool `[S, N, W]`; `targets` int64 `[S, N, W]` is each
    node's state after the policy's own step from the fresh scores; `live` bool `[S, N]` marks the
    nodes that have fresh scores and something left to commit. `logits` float32 `[n, V]` and `where`
    are the call's banned logits, for acceptors whose `needs` ask for them.
    """

    scores: Scores
    masked: Tensor
    targets: Tensor
    live: Tensor
    logits: Tensor | None = None
    where: Where | None = None


@dataclass(frozen=True)
class Path:
    """The states that are reached: `nodes` int64 `[S, N]`, the first `length` int64 `[S]` count.

    `scores`, if given, replace the fresh scores `[S, N, W]`: an acceptor may correct a token.
    """

    nodes: Tensor
    length: Tensor
    scores: Scores | None = None
