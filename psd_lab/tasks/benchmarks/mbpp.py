"""mbpp and mbpp-sanitized: Python functions from a sentence and tests.

Austin et al. 2021, arXiv 2108.07732.
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

NEEDS = {"tests": "a list of at least one text", "imports": "a text"}
# Which task_ids a split has, in both sets; both ends included.
IDS = {"test": (11, 510), "prompt": (1, 10), "validation": (511, 600), "train": (601, 974)}


def _texts(row: Row, column: str) -> list[str]:
    """Read a column that holds a list of texts; a text alone would pass as a list of letters."""
    if not isinstance(row[column], list):
        raise TypeError(f"{column} of {row['task_id']} must be a list of texts")
    return row[column]


def item(split: str, number: int, row: Row) -> Item:
    """Read a row of the full set.

    The code that sets a test up uses names that the solution defines, so it is part of the test.
    """
    fields = {
        "text": row["text"],
        "tests": "\n".join(_texts(row, "test_list")),
        "code": row["code"],
    }
    meta = {"tests": [*filter(None, [row["test_setup_code"]]), *row["test_list"]], "imports": ""}
    return Item(f"mbpp/{row['task_id']}", fields, row["code"], meta)


def sanitized_item(split: str, number: int, row: Row) -> Item:
    """Read a row of the sanitized set, whose columns have other names."""
    fields = {
        "text": row["prompt"],
        "tests": "\n".join(_texts(row, "test_list")),
        "code": row["code"],
    }
    meta = {"tests": row["test_list"], "imports": "\n".join(_texts(row, "test_imports"))}
    return Item(f"mbpp-sanitized/{row['task_id']}", fields, row["code"], meta)


def tests(example: Example) -> Tests:
    """Make the test program: the item's asserts, after the imports they need."""
    from psd_lab.sandbox import Tests

    return Tests("\n".join(example.meta["tests"]), prelude=example.meta["imports"])


def judge(pairs: Sequence[Pair], protocol: Protocol, workers: int) -> list[Score]:
    """Score completions by running them with the item's tests."""
    return programs.judge(pairs, protocol.headline, protocol.timeout, workers, tests)


SPEC = Spec(
    name="mbpp",
    description="Python functions from a sentence and three tests, scored by these (500 items)",
    files=Files(
        "mbpp",
        dict.fromkeys(IDS, "mbpp.jsonl"),
        "google-research-datasets/mbpp",
        "full",
        ("task_id", "text", "code", "test_list", "test_setup_code"),
        IDS,
    ),
    item=item,
    judge=judge,
    version=lambda: postprocess.VERSION,
    default_profile="psd-512",
    published={
        "test": "8b4145a4b9b6",
        "prompt": "b5c478cd7b9d",
        "validation": "4318f8e2976e",
        "train": "c8106f85e79b",
    },
    needs=NEEDS,
)
SANITIZED = Spec(
    name="mbpp-sanitized",
    description=(
        "The hand-checked part of mbpp with other texts and tests: not comparable with mbpp (257"
        " items)"
    ),
    files=Files(
        "mbpp",
        dict.fromkeys(IDS, "sanitized-mbpp.json"),
        "google-research-datasets/mbpp",
        "sanitized",
        ("task_id", "prompt", "code", "test_list", "test_imports"),
        IDS,
    ),
    item=sanitized_item,
    judge=judge,
    version=lambda: postprocess.VERSION,
    default_profile="sdar-native",
    published={
        "test": "7529a8d36cac",
        "prompt": "058f499cbb98",
        "validation": "b51ffecfabe0",
        "train": "fc035cf027dd",
    },
    needs=NEEDS,
)
