"""What every metric reports: the share that is right of what could be judged, and each verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psd_lab.tasks.base import Score


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """Report what was right of what could be judged.

    Returns `accuracy` over judged items (None without any), `n`, `judged`, and `correct` per item
    (None where the judge failed). Where there are several extractors, each gets an accuracy of its
    own in `by_extractor`.
    """
    decided = [score.correct for score in scores if score.correct is not None]
    tables = [
        score.details["verdicts"]
        for score in scores
        if score.details and "verdicts" in score.details
    ]
    report: dict[str, Any] = {
        "accuracy": sum(decided) / len(decided) if decided else None,
        "n": len(scores),
        "judged": len(decided),
        "correct": [score.correct for score in scores],
    }
    if tables:
        report["by_extractor"] = {
            name: sum(table[name] for table in tables) / len(tables) for name in tables[0]
        }
    return report
