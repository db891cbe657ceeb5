"""What one task says of a claim: a verdict, the estimate that it rests on, and its words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from psd_lab.report.stats import Estimate

REPRODUCED, PARTIALLY, NOT_REPRODUCED, NOT_TESTED = (
    "reproduced",
    "partially",
    "not reproduced",
    "not tested",
)


@dataclass(frozen=True)
class Evidence:
    """What one task says: a verdict, the estimate it rests on, and that estimate as text."""

    task: str
    verdict: str
    estimate: Estimate
    text: str

    @classmethod
    def of(
        cls, task: str, estimate: Estimate, reproduced: bool, partially: bool, text: str
    ) -> Evidence:
        """Evidence with the strongest verdict that holds."""
        verdict = REPRODUCED if reproduced else PARTIALLY if partially else NOT_REPRODUCED
        return cls(task, verdict, estimate, text)


def together(verdicts: Sequence[str]) -> str:
    """The verdict on several tasks or models: theirs if they agree, else partially."""
    kinds = set(verdicts)
    if not kinds:
        return NOT_TESTED
    return kinds.pop() if len(kinds) == 1 else PARTIALLY


def counted(verdicts: Sequence[str], needed: int, of: int) -> str:
    """The verdict on a claim about most cells, `needed` of `of` or that share of those there are:
    what is only partially so counts for partially.
    """
    if not verdicts:
        return NOT_TESTED
    enough = math.ceil(len(verdicts) * needed / of)
    if verdicts.count(REPRODUCED) >= enough:
        return REPRODUCED
    return PARTIALLY if len(verdicts) - verdicts.count(NOT_REPRODUCED) >= enough else NOT_REPRODUCED
