"""humaneval: Python functions from a signature and a docstring, scored by tests.

Chen et al. 2021, arXiv 2107.03374.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from psd_lab.tasks.base import Example, Score
from psd_lab.tasks.benchmarks import postprocess, programs
from psd_lab.tasks.benchmarks.benchmark import Item, Pair, Spec
from psd_lab.tasks.benchmarks.protocol import Protocol
from psd_lab.tasks.benchmarks.source import Files, Row

if TYPE_CHECKING:
    from psd_lab.sandbox import Tests


def item(split: str, number: int, row: Row) -> Item:
    """Read a row.

    Its prompt is the beginning of the program, whatever a profile writes around it.
    """
    fields = {"prompt": row["prompt"], "solution": row["canonical_solution"]}
    meta = {"prompt": row["prompt"], "entry_point": row["entry_point"], "test": row["test"]}
    return Item(row["task_id"], fields, row["canonical_solution"], meta)


def tests(example: Example) -> Tests:
    """Make the test program: its `check(candidate)`, after the prompt.

    Some tests call helpers that the prompt defines.
    """
    from psd_lab.sandbox import Tests

    return Tests(
        example.meta["test"],
        entry_point=example.meta["entry_point"],
        prelude=example.meta["prompt"],
    )


def judge(pairs: Sequence[Pair], protocol: Protocol, workers: int) -> list[Score]:
    """Score completions by running them with the item's tests."""
    return programs.judge(pairs, protocol.headline, protocol.timeout, workers, tests)


SPEC = Spec(
    name="humaneval",
    description=(
        "Python function bodies from a signature and a docstring, scored by tests (164 items)"
    ),
    files=Files(
        "humaneval",
        {"test": "HumanEval.jsonl"},
        "openai/openai_humaneval",
        None,
        ("task_id", "prompt", "canonical_solution", "test", "entry_point"),
    ),
    item=item,
    judge=judge,
    version=lambda: postprocess.VERSION,
    default_profile="psd-512",
    published={"test": "3e02f56c2abf"},
    needs={"prompt": "a text", "entry_point": "a text", "test": "a text"},
)
