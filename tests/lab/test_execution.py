"""Embedded code tasks score through the sandbox, with the reasons that rows have carried from the
beginning.
"""

import gzip
import json
import random

import pytest

from psd_lab import tasks
from psd_lab.paths import ROOT
from psd_lab.sandbox import Verdict, probe
from psd_lab.tasks import Example, execution

pytestmark = pytest.mark.skipif(probe().backend is None, reason=f"NO SANDBOX HERE: {probe()}")

BODY = Example(
    "x", "def f(x):\n", "    return x\n", {"tests": ["assert f(1) == 1", "assert f(2) == 2"]}
)
SCORES = {
    "right": ("    return x\n", True, "ok"),
    "wrong": ("    return 3\n", False, "wrong"),
    "right on the first test only": ("    return 1\n", False, "wrong"),
    "does not parse": ("    return (x\n", False, "error: SyntaxError"),
    "raises": ("    raise KeyError(x)\n", False, "error: KeyError"),
    "raises what asserts raise": ("    assert False\n", False, "wrong"),
    "kind that the test cannot use": ("    return y\n", False, "error: NameError"),
    "leaves": ("    import os\n    os._exit(0)\n", False, "error: exit 0"),
    "is refused": (
        "    import os\n    os.fork()\n    return x\n",
        False,
        "error: PermissionError (sandbox_denied)",
    ),
    "never ends": ("    while True: pass\n", False, "timeout"),
    "prints": ("    print(x)\n    return x\n", True, "ok"),
}


@pytest.mark.parametrize("case", SCORES)
def test_score(case):
    completion, correct, reason = SCORES[case]
    score = tasks.get("mini-humaneval").score(completion, BODY)
    assert (score.correct, score.answer, score.reason) == (correct, completion, reason)
    assert score.details == {"sandbox": probe().backend}


def test_nothing_is_no_answer():
    for name in ("mini-humaneval", "mini-mbpp"):
        item = tasks.get(name).load("test", 1)[0]
        for completion in ("", " \n"):
            score = tasks.get(name).score(completion, item)
            assert (score.correct, score.answer, score.reason) == (False, None, "no answer")


def test_a_failure_of_the_sandbox_is_never_a_zero(monkeypatch):
    monkeypatch.setattr(
        execution,
        "check",
        lambda *_: Verdict("infra", "no verdict (exit 1)", 0.0, 0.0, None, "landlock"),
    )
    score = tasks.get("mini-humaneval").score("    return x\n", BODY)
    assert score.correct is None and score.reason == "infra: no verdict (exit 1)"


def test_hidden_tests_count_beside_the_visible_ones():
    """A function that knows only the two visible asserts fails."""
    item = next(e for e in tasks.get("mini-mbpp").load("test") if "(xs)" in e.reference)
    visible = [line for line in item.prompt.splitlines() if line.startswith("assert ")]
    assert visible == item.meta["tests"][:2] and len(item.meta["tests"]) == 8
    name = item.reference.split("(")[0].removeprefix("def ")
    calls = [line.removeprefix(f"assert {name}(").split(") == ") for line in visible]
    cheat = f"def {name}(xs):\n" + "".join(
        f"    if xs == {given}:\n        return {out}\n" for given, out in calls
    )
    knows = Example("x", "", "", {"tests": visible})
    assert tasks.get("mini-mbpp").score(cheat, knows).correct
    assert tasks.get("mini-mbpp").score(cheat, item).reason == "wrong"


def test_scores_keep_the_order_of_their_pairs():
    task = tasks.get("mini-humaneval")
    items = task.load("test", 6)
    completions = [
        e.reference if number % 2 else "    return None\n" for number, e in enumerate(items)
    ]
    scores = task.score_many(zip(completions, items, strict=True), workers=3)
    assert [score.correct for score in scores] == [False, True] * 3


def published(task):
    """Distinct completions of the published rows with their scores."""
    found = {}
    with gzip.open(ROOT / "data" / "results" / "published" / "rows.jsonl.gz", "rt") as file:
        for row in map(json.loads, file):
            if row.get("task") == task:
                found[row["example_id"], row["completion"]] = (row["correct"], row["reason"])
    return found


def rescored(task, keys):
    items = {item.id: item for item in tasks.get(task).load("test")}
    known = [key for key in keys if key[0] in items]
    scores = tasks.get(task).score_many([(completion, items[name]) for name, completion in known])
    return {key: (score.correct, score.reason) for key, score in zip(known, scores, strict=True)}


@pytest.mark.thorough
@pytest.mark.parametrize("task", ["mini-humaneval", "mini-mbpp"])
def test_published_scores_stay(task):
    rows = published(task)
    again = rescored(task, random.Random(0).sample(sorted(rows), min(12, len(rows))))
    assert again == {key: rows[key] for key in again}


@pytest.mark.slow
@pytest.mark.parametrize("task", ["mini-humaneval", "mini-mbpp"])
def test_all_published_scores_stay(task):
    rows = published(task)
    again = rescored(task, sorted(rows))
    assert again == {key: rows[key] for key in again}
