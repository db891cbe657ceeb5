"""gsm8k: grade-school word problems, scored by the final number.

Cobbe et al. 2021, arXiv 2110.14168.
"""

from __future__ import annotations

from collections.abc import Sequence

from psd_lab.tasks.base import Score
from psd_lab.tasks.benchmarks import extraction
from psd_lab.tasks.benchmarks.benchmark import Item, Pair, Spec
from psd_lab.tasks.benchmarks.protocol import Protocol
from psd_lab.tasks.benchmarks.source import Files, Row


def item(split: str, number: int, row: Row) -> Item:
    """Read a row; the gold number follows the last `#### `."""
    _, mark, gold = row["answer"].rpartition("#### ")
    if not mark or not gold.strip():
        raise ValueError(f"answer {number} has no line with #### and a number")
    return Item(f"gsm8k/{split}/{number}", row, row["answer"], {"answer": gold.strip()})


def score(completion: str, gold: str, headline: str) -> Score:
    """Score by the extractor `headline`; list what all of them read and decided beside it."""
    answers = extraction.extract(completion)
    decided = extraction.verdicts(answers, gold)
    reason = "no answer" if answers[headline] is None else "ok" if decided[headline] else "wrong"
    return Score(
        decided[headline],
        answers[headline],
        reason,
        answers,
        {"headline": headline, "verdicts": decided},
    )


def judge(pairs: Sequence[Pair], protocol: Protocol, workers: int) -> list[Score]:
    """Score completions by the profile's headline extractor."""
    return [
        score(completion, example.meta["answer"], protocol.headline)
        for completion, example in pairs
    ]


SPEC = Spec(
    name="gsm8k",
    description="Grade-school word problems, scored by the final number (1,319 items)",
    files=Files(
        "gsm8k",
        {"test": "test.jsonl", "train": "train.jsonl"},
        "openai/gsm8k",
        "main",
        ("question", "answer"),
    ),
    item=item,
    judge=judge,
    version=lambda: extraction.VERSION,
    default_profile="psd-512",
    published={"test": "e5cba797d833", "train": "a15c77a9c9be"},
    needs={"answer": "a text"},
)
