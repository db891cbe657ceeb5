"""Stop rules, the optional fourth plug: when is the rest of the block settled, so that it may be
filled at once?

A stop rule looks at a state's scores. Where it fires, everything that is still masked in the block
is committed with its proposed token, as one step. It is a function of the state alone, so drafts
replay it exactly; but the outputs are no longer those of the policy, and configs with a stop rule
say so (`exact` is False). To add one, write a frozen dataclass here and list it in `STOPS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from psd_lib.decoding.binding import RECONSTRUCTED
from psd_lib.decoding.canvas import Canvas
from psd_lib.decoding.policies.thresholds import nats
from psd_lib.decoding.scores import Scores


class StopRule(Protocol):
    """What the loop asks of a stop rule."""

    name: ClassVar[str]

    def stop(self, scores: Scores, masked: Tensor, progress: Tensor) -> Tensor:
        """Whether the rest of the block is settled, bool `[...]`; `progress` `[...]` is the decided
        share of gen_length.

        `scores` (with margin, entropy and gap) and `masked` are `[..., W]`.
        """

    @property
    def label(self) -> str:
        """Short text for tables and legends."""


def mean_gap(scores: Scores, masked: Tensor) -> Tensor:
    """Mean logit gap between the two best tokens over the masked positions, float `[...]`, 0 where
    none is masked.
    """
    gaps = torch.where(masked, scores.gap, 0.0)
    return gaps.sum(-1) / masked.sum(-1).clamp(min=1)


@dataclass(frozen=True)
class Prophet:
    """Stop when the mean gap between the two best logits reaches 7.5, 5 or 2.5, by progress
    (Prophet, arXiv 2508.19982).

    The limits are those of the authors' code for progress below 1/3, below 2/3 and later.
    Reconstructed: there the gap is the mean over an answer span whose place a constraint forces;
    here, where no such place is known, over what is still masked in the block.

    Example::

        gap       [[9., 8., 1., 7.], [9., 8., 1., 7.]]
        masked    [[ 1,  1,  0,  1], [ 0,  0,  1,  1]]      means 8 and 4
        progress  [.1,               .5              ]      limits 7.5 and 5
        stop      [True,             False           ]
    """

    early_gap: float = 7.5
    middle_gap: float = 5.0
    late_gap: float = 2.5
    name: ClassVar[str] = "prophet"
    fidelity: ClassVar[str] = RECONSTRUCTED
    note: ClassVar[str] = (
        "Prophet (reconstructed): its gap limits are applied to what is still masked in the block,"
        " as no answer span is known."
    )

    def __post_init__(self):
        for name in ("early_gap", "middle_gap", "late_gap"):
            nats(name, getattr(self, name))

    def stop(self, scores: Scores, masked: Tensor, progress: Tensor) -> Tensor:
        """Clear enough for the stage."""
        limit = torch.where(
            progress < 1 / 3,
            self.early_gap,
            torch.where(progress < 2 / 3, self.middle_gap, self.late_gap),
        )
        return (mean_gap(scores, masked) >= limit) & masked.any(-1)

    @property
    def label(self) -> str:
        """`Prophet (reconstructed) 7.5/5/2.5`."""
        return f"Prophet (reconstructed) {self.early_gap:g}/{self.middle_gap:g}/{self.late_gap:g}"


@dataclass(frozen=True)
class Sched:
    """Stop when the mean gap reaches a limit that falls smoothly with progress (SchED, arXiv
    2512.02892).

    Reconstructed from second-hand descriptions: limit = `high_gap` + (`low_gap` - `high_gap`) *
    progress, over what is still masked in the block instead of the whole span; the limits' defaults
    are Prophet's.

    Example, high 7.5, low 2.5::

        gap       [[6., 6., 1., 6.], [6., 6., 1., 6.]]
        masked    [[ 1,  1,  0,  1], [ 1,  1,  0,  1]]      mean 6
        progress  [.2,               .4              ]      limits 6.5 and 5.5
        stop      [False,            True            ]
    """

    high_gap: float = 7.5
    low_gap: float = 2.5
    name: ClassVar[str] = "sched"
    fidelity: ClassVar[str] = RECONSTRUCTED
    note: ClassVar[str] = (
        "SchED (reconstructed): the gap limit falls linearly with progress, over what is still"
        " masked in the block; the published schedule and limits were not available."
    )

    def __post_init__(self):
        nats("high_gap", self.high_gap)
        nats("low_gap", self.low_gap)

    def stop(self, scores: Scores, masked: Tensor, progress: Tensor) -> Tensor:
        """Clear enough for this progress."""
        limit = self.high_gap + (self.low_gap - self.high_gap) * progress
        return (mean_gap(scores, masked) >= limit) & masked.any(-1)

    @property
    def label(self) -> str:
        """`SchED (reconstructed) 7.5/2.5`."""
        return f"SchED (reconstructed) {self.high_gap:g}/{self.low_gap:g}"


class Stopping:
    """A policy that a stop rule may cut short; everything else is the policy's own."""

    needs_detail = True

    def __init__(self, policy, rule: StopRule, canvas: Canvas):
        self.policy, self.rule, self.canvas = policy, rule, canvas

    def __getattr__(self, name: str):
        return getattr(self.policy, name)

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Everything where the rule fires, the policy's choice elsewhere; `[S, W]` or `[S, N, W]`."""
        fires = self.rule.stop(scores, masked, self._progress(masked))
        return torch.where(fires[..., None], masked, self.policy.select(scores, masked))

    def _progress(self, masked: Tensor) -> Tensor:
        canvas = self.canvas
        until = (canvas.start + canvas.width).clamp(max=canvas.end) - canvas.prompt_end
        until = until.reshape(-1, *[1] * (masked.dim() - 2))
        return (until - masked.sum(-1)) / (canvas.end - canvas.prompt_end)


STOPS: dict[str, type] = {rule.name: rule for rule in (Prophet, Sched)}
