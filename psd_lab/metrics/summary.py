"""What every metric reports: the share that is right of what could be judged, and each verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psd_lab.tasks.base import Score


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """Reports accuracy over judged items (None without any), `n`, `judged`, and `correct` per item
    (None where the judge failed).

    Extractors side by side, where there are several, each get an accuracy of their own in
    `by_extractor`.
    """
    decided = [score.correct for score in scores if score.correct is not None]
    tables = [
        score.details["verdicts"]
        for score in scores
        if score.details and "verdicts" in score.details
    ]
    found: dict[str, Any] = {
        "accuracy": sum(decided) / len(decided) if decided else None,
        "n": len(scores),
        "judged": len(decided),
        "correct": [score.correct for score in scores],
    }
    if tables:
        found["by_extractor"] = {
            name: sum(table[name] for table in tables) / len(tables) for name in tables[0]
        }
    return found
