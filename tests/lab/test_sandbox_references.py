"""Fidelity: on the real benchmarks every reference solution passes, and bodies that only look right
fail everywhere.
"""

import ast
import gzip
import json
from pathlib import Path

import pytest
from support.benchmark_data import FOLDER, needs_data

from psd_lab.sandbox import Limits, Tests, check_many, probe

LIMITS = Limits(cpu=20, wall=180)
SAMPLE = 41
ALWAYS_EQUAL = """
class Equal:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__
    def __hash__(self): return 0
    def __sub__(self, other): return self
    def __iter__(self): return iter([self])
    def __len__(self): return 1
    def __abs__(self): return self
    __rsub__ = __add__ = __radd__ = __mul__ = __round__ = __getitem__ = __sub__
"""

pytestmark = [
    needs_data,
    pytest.mark.skipif(probe().backend is None, reason=f"NO SANDBOX HERE: {probe()}"),
    pytest.mark.filterwarnings("ignore:invalid escape sequence"),
]


def read(*path):
    with gzip.open(Path(FOLDER, *path), "rt") as file:
        return [json.loads(line) for line in file]


def humaneval():
    """(name, reference, tests, signatures and imports) of every item."""
    for row in read("humaneval", "HumanEval.jsonl.gz"):
        yield (
            row["task_id"],
            row["prompt"] + row["canonical_solution"],
            Tests(row["test"], row["entry_point"], row["prompt"]),
            [row["entry_point"]],
        )


def mbpp():
    for row in read("mbpp", "mbpp.jsonl.gz"):
        defined = [
            node.name for node in ast.parse(row["code"]).body if isinstance(node, ast.FunctionDef)
        ]
        yield (
            f"MBPP/{row['task_id']}",
            row["code"],
            Tests("\n".join(row["test_list"]), None, row["test_setup_code"]),
            defined,
        )


def bodies(names, result):
    return "".join(f"def {name}(*args, **named):\n    return {result}\n" for name in names)


VARIANTS = {
    "references": (lambda reference, names: reference, "pass"),
    "return None": (lambda reference, names: bodies(names, "None"), "fail"),
    "always equal": (lambda reference, names: ALWAYS_EQUAL + bodies(names, "Equal()"), "fail"),
}


def wrong_verdicts(items, variant):
    change, expected = VARIANTS[variant]
    items = list(items)
    verdicts = check_many(
        [(change(reference, names), tests) for _, reference, tests, names in items], limits=LIMITS
    )
    return {
        name: verdict
        for (name, *_), verdict in zip(items, verdicts, strict=True)
        if verdict.status != expected
    }


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("benchmark", ["humaneval", "mbpp"])
def test_sample(benchmark, variant):
    assert (
        wrong_verdicts(list({"humaneval": humaneval, "mbpp": mbpp}[benchmark]())[::SAMPLE], variant)
        == {}
    )


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("benchmark", ["humaneval", "mbpp"])
def test_all(benchmark, variant):
    items = list({"humaneval": humaneval, "mbpp": mbpp}[benchmark]())
    assert len(items) == {"humaneval": 164, "mbpp": 974}[benchmark]
    assert wrong_verdicts(items, variant) == {}


def test_items_whose_tests_reach_beyond_calls_pass():
    """MBPP's linked trees and pairs, a tested name that is a built-in's, and a module that only the
    solution imports.
    """
    special = {"MBPP/126", "MBPP/367", "MBPP/596", "MBPP/601", "MBPP/927"}
    items = [item for item in mbpp() if item[0] in special]
    assert len(items) == len(special)
    assert wrong_verdicts(items, "references") == {}
