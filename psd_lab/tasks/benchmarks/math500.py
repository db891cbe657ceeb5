"""math500: 500 problems of MATH.

Lightman et al. 2023, arXiv 2305.20050; Hendrycks et al. 2021, arXiv 2103.03874. Never shipped: the
parent data set is under a takedown notice. It is read from the Hub or a folder of the user's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from psd_lab.tasks.base import Score
from psd_lab.tasks.benchmarks import equivalence, extraction
from psd_lab.tasks.benchmarks.benchmark import Item, Pair, Spec
from psd_lab.tasks.benchmarks.protocol import Protocol
from psd_lab.tasks.benchmarks.source import Files, Row

_FINAL = re.compile(r"[Ff]inal answer is:?\s*\$?(.+?)\$?\.?\s*(?:I hope it is correct|$|\n)")


def _final(text: str) -> str | None:
    match = _FINAL.search(text)
    return match[1] if match else None


READERS: dict[str, Callable[[str], str | None]] = {
    "boxed": extraction.boxed,
    "final_answer": _final,
    "last_number": extraction.EXTRACTORS["last_number"].read,
}


def item(split: str, number: int, row: Row) -> Item:
    """Read a row; `answer` is the gold answer in LaTeX, `solution` a worked solution."""
    fields = {"question": row["problem"], "answer": row["solution"]}
    return Item(f"math500/{split}/{number}", fields, row["solution"], {"answer": row["answer"]})


def score(completion: str, gold: str, headline: str) -> Score:
    """Score by the reader `headline` and the library or normaliser that the score names."""
    answers = {name: read(completion) for name, read in READERS.items()}
    decided = {
        name: text is not None and equivalence.same(text, gold) for name, text in answers.items()
    }
    reason = "no answer" if answers[headline] is None else "ok" if decided[headline] else "wrong"
    details = {"headline": headline, "verdicts": decided, "equivalence": equivalence.decider()}
    return Score(decided[headline], answers[headline], reason, answers, details)


def judge(pairs: Sequence[Pair], protocol: Protocol, workers: int) -> list[Score]:
    """Score completions by the profile's headline reader."""
    return [
        score(completion, example.meta["answer"], protocol.headline)
        for completion, example in pairs
    ]


SPEC = Spec(
    name="math500",
    description="500 competition problems, scored by the boxed answer (optional, never shipped)",
    files=Files(
        "math500",
        {"test": "test.jsonl"},
        "HuggingFaceH4/MATH-500",
        None,
        ("problem", "solution", "answer"),
    ),
    item=item,
    judge=judge,
    version=equivalence.decider,
    default_profile="sdar-native",
    published={},
    needs={"answer": "a text"},
)
