"""Cache plans: which columns run as queries in a call, what they see, and what is stored between calls.

The loop describes the rows that it needs and leaves the forward to the plan. `none` recomputes every column that the
asked positions can see, which makes the state of a row the only thing its scores depend on. Plans that keep K/V (prefix,
dual, exact block) implement the same two methods and are listed in `CACHES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor


@dataclass(frozen=True)
class Request:
    """One call: R rows of guessed states over C columns, and the n positions whose logits are wanted.

    `ids` int64 `[R, C]`; `positions` int64 `[R, C]`, negative for padding; `blocks` int64 `[R, C]` block number of each
    column; `sequence` int64 `[R]` which sequence a row belongs to; `row`, `column` int64 `[n]` the wanted positions.
    """

    ids: Tensor
    positions: Tensor
    blocks: Tensor
    sequence: Tensor
    row: Tensor
    column: Tensor


class Denoiser(Protocol):
    """The model as the decoding core sees it."""

    mask_id: int
    eos_ids: tuple[int, ...]
    vocab_size: int
    sees_future: bool

    def logits(self, ids: Tensor, positions: Tensor, blocks: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Raw logits `[n, V]` of the positions (`row`, `column`), whatever shift the family needs already applied."""


class CachePlan(Protocol):
    """What the loop asks of a plan."""

    name: ClassVar[str]

    def columns(self, last: int, width: int, sees_future: bool) -> int:
        """How many canvas columns a call needs when the furthest window ends before column `last`, of `width` in all."""

    def forward(self, denoiser: Denoiser, request: Request) -> tuple[Tensor, int, int]:
        """Logits `[n, V]`, query tokens per row and key tokens per row of the call."""


@dataclass(frozen=True)
class NoCache:
    """Recompute everything in every call. Exact by construction, and the mode in which TPF is unambiguous."""

    name: ClassVar[str] = "none"

    def columns(self, last: int, width: int, sees_future: bool) -> int:
        """All columns, or those up to the furthest window where attention never looks further right."""
        return width if sees_future else min(last, width)

    def forward(self, denoiser: Denoiser, request: Request) -> tuple[Tensor, int, int]:
        """One call over all columns of the request."""
        logits = denoiser.logits(request.ids, request.positions, request.blocks, request.row, request.column)
        return logits, request.ids.shape[1], request.ids.shape[1]


CACHES: dict[str, type] = {plan.name: plan for plan in (NoCache,)}
