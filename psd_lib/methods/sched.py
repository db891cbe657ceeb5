"""SchED (arXiv 2512.02892): stop at a gap that falls with progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from psd_lib.core.checks import non_negative
from psd_lib.core.described import option
from psd_lib.core.policies import TopK
from psd_lib.core.registry import Decoder, register, register_decoder
from psd_lib.core.scores import Scores
from psd_lib.core.strategy import StopRule
from psd_lib.methods.prophet import mean_gap


@register
@dataclass(frozen=True)
class Sched(StopRule):
    """Stop when the mean gap reaches a limit that falls smoothly with progress.

    Reconstructed from second-hand descriptions: limit = `high_gap` + (`low_gap` - `high_gap`) *
    progress, over what is still masked in the block instead of the whole span; the limits' defaults
    are Prophet's.

    Example, high 7.5, low 2.5::

        gap       [[6., 6., 1., 6.], [6., 6., 1., 6.]]
        masked    [[ 1,  1,  0,  1], [ 1,  1,  0,  1]]      mean 6
        progress  [.2,               .4              ]      limits 6.5 and 5.5
        stop      [False,            True            ]
    """

    high_gap: float = option("gap that suffices at the start", 7.5)
    low_gap: float = option("gap that suffices at the end", 2.5)
    name: ClassVar[str] = "sched"
    title: ClassVar[str] = "SchED"
    source: ClassVar[str] = "SchED, arXiv 2512.02892"
    reconstructed: ClassVar[bool] = True
    note: ClassVar[str] = (
        "SchED (reconstructed): the gap limit falls linearly with progress, over what is still"
        " masked in the block; the published schedule and limits were not available."
    )

    def __post_init__(self) -> None:
        non_negative("high_gap", self.high_gap)
        non_negative("low_gap", self.low_gap)

    def stop(self, scores: Scores, masked: Tensor, progress: Tensor) -> Tensor:
        """Return where the gap is large enough for this progress, bool `[...]`."""
        limit = self.high_gap + (self.low_gap - self.high_gap) * progress
        return (mean_gap(scores, masked) >= limit) & masked.any(-1)


register_decoder(
    "sched",
    Decoder(
        TopK(1),
        stop=Sched(),
        options=("policy", "stop"),
        exchange=("policy", "stop"),
        title="SchED",
        source="SchED, arXiv 2512.02892",
    ),
)
