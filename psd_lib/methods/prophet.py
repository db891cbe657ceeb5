"""Prophet (arXiv 2508.19982): stop once the best tokens are clear of the second best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from psd_lib.core.checks import non_negative
from psd_lib.core.described import option
from psd_lib.core.policies import TopK
from psd_lib.core.registry import Decoder, register, register_decoder
from psd_lib.core.scores import Scores
from psd_lib.core.strategy import StopRule


def mean_gap(scores: Scores, masked: Tensor) -> Tensor:
    """Return the mean logit gap between the two best tokens over the masked positions.

    Float `[...]`, 0 where nothing is masked.
    """
    assert scores.gap is not None  # stop rules need the details
    gaps = torch.where(masked, scores.gap, 0.0)
    return gaps.sum(-1) / masked.sum(-1).clamp(min=1)


@register
@dataclass(frozen=True)
class Prophet(StopRule):
    """Stop when the mean gap between the two best logits reaches 7.5, 5 or 2.5, by progress.

    The limits are those of the authors' code for progress below 1/3, below 2/3 and later.
    Reconstructed: there the gap is the mean over an answer span whose place a constraint forces;
    here, where no such place is known, over what is still masked in the block.

    Example::

        gap       [[9., 8., 1., 7.], [9., 8., 1., 7.]]
        masked    [[ 1,  1,  0,  1], [ 0,  0,  1,  1]]      means 8 and 4
        progress  [.1,               .5              ]      limits 7.5 and 5
        stop      [True,             False           ]
    """

    early_gap: float = option("gap that suffices before a third of the answer is decided", 7.5)
    middle_gap: float = option("gap that suffices before two thirds are", 5.0)
    late_gap: float = option("gap that suffices later", 2.5)
    name: ClassVar[str] = "prophet"
    title: ClassVar[str] = "Prophet"
    source: ClassVar[str] = "Prophet, arXiv 2508.19982"
    reconstructed: ClassVar[bool] = True
    note: ClassVar[str] = (
        "Prophet (reconstructed): its gap limits are applied to what is still masked in the block,"
        " as no answer span is known."
    )

    def __post_init__(self) -> None:
        for name in ("early_gap", "middle_gap", "late_gap"):
            non_negative(name, getattr(self, name))

    def stop(self, scores: Scores, masked: Tensor, progress: Tensor) -> Tensor:
        """Return where the gap is large enough for the stage, bool `[...]`."""
        limit = torch.where(
            progress < 1 / 3,
            self.early_gap,
            torch.where(progress < 2 / 3, self.middle_gap, self.late_gap),
        )
        return (mean_gap(scores, masked) >= limit) & masked.any(-1)


register_decoder(
    "prophet",
    Decoder(
        TopK(1),
        stop=Prophet(),
        options=("policy", "stop"),
        exchange=("policy", "stop"),
        title="Prophet",
        source="Prophet, arXiv 2508.19982",
    ),
)
