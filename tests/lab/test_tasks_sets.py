"""The fixed sets of the embedded tasks: the published bytes, and what train may not show."""

import hashlib
import itertools
import json
import re

import pytest

from psd_lab import paths, tasks
from psd_lab.cli import main
from psd_lab.tasks import Example, fixed
from psd_lab.tasks.equations import LARGEST, Step
from psd_lab.tasks.splits import split_of

pytestmark = pytest.mark.thorough  # the sets are written anew
NAMES = ["mini-gsm", "mini-humaneval", "mini-mbpp"]
HELD_OUT = ("validation", "test")
PUBLISHED = paths.TASKS


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder into which `psd tasks NAME` wrote every embedded task."""
    folder = tmp_path_factory.mktemp("tasks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "TASKS", folder)
        for name in NAMES:
            assert main(["tasks", name]) == 0
    return folder


@pytest.fixture(scope="module")
def train(written):
    """(prompt, reference, pattern) of the 30,000 train items of each task."""
    sets = {}
    for name in NAMES:
        with (written / name / "train.jsonl").open(encoding="utf-8") as lines:
            items = [Example(**json.loads(line)) for line in lines]
        sets[name] = [(e.prompt, e.reference, tuple(e.meta["pattern"])) for e in items]
    return sets


@pytest.mark.parametrize("name", NAMES)
def test_the_command_writes_the_published_bytes(name, written):
    """The manifest holds the hash of the train set, which is too large to be published."""
    for file in ("test.jsonl", "validation.jsonl", "manifest.json"):
        assert (written / name / file).read_bytes() == (PUBLISHED / name / file).read_bytes()
    manifest = json.loads((PUBLISHED / name / "manifest.json").read_text(encoding="utf-8"))
    for split, entry in manifest["splits"].items():
        data = (written / name / f"{split}.jsonl").read_bytes()
        assert entry == {"count": fixed.SIZES[split], "sha256": hashlib.sha256(data).hexdigest()}
    assert tasks.get(name).data_hash("test") == manifest["splits"]["test"]["sha256"][:12]


@pytest.mark.parametrize("name", NAMES)
def test_no_prompt_twice_in_a_split(name, train):
    assert len({prompt for prompt, _, _ in train[name]}) == fixed.SIZES["train"]
    for split in HELD_OUT:
        assert (
            len({example.prompt for example in tasks.get(name).load(split)}) == fixed.SIZES[split]
        )


@pytest.mark.parametrize("name", NAMES)
def test_held_out_texts_and_patterns_never_occur_in_train(name, train):
    sets = {"train": [set(column) for column in zip(*train[name], strict=True)]}
    for split in HELD_OUT:
        rows = [
            (e.prompt, e.reference, tuple(e.meta["pattern"])) for e in tasks.get(name).load(split)
        ]
        sets[split] = [set(column) for column in zip(*rows, strict=True)]
    for one, other in itertools.combinations(sets, 2):
        for kind, left, right in zip(
            ("prompt", "reference", "pattern"), sets[one], sets[other], strict=True
        ):
            assert not left & right, f"{kind} shared by {one} and {other}"


def test_code_tasks_hold_out_the_same_compositions(train):
    for held, seen in (("mini-humaneval", "mini-mbpp"), ("mini-mbpp", "mini-humaneval")):
        patterns = {tuple(e.meta["pattern"]) for e in tasks.get(held).load("test")}
        assert not patterns & {pattern for _, _, pattern in train[seen]}


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_has_one_pattern(name, train):
    """Otherwise the text of a held-out question could be in train with another answer pattern."""
    patterns = {}
    for prompt, _, pattern in train[name] + [
        (e.prompt, e.reference, tuple(e.meta["pattern"]))
        for e in itertools.islice(tasks.get(name).stream(9), 5000)
    ]:
        assert patterns.setdefault(prompt, pattern) == pattern


def test_split_depends_on_the_pattern_alone():
    counts = dict.fromkeys(("train", "validation", "test"), 0)
    for number in range(4000):
        counts[split_of((f"{number}+1",))] += 1
        assert split_of((f"{number}+1",), atomic=True) == "train"
    assert 150 < counts["test"] < 250 and 150 < counts["validation"] < 250


def test_train_is_where_every_word_number_and_primitive_of_test_is_learnt(train):
    for name in NAMES:
        known = {
            word
            for prompt, reference, _ in train[name]
            for word in re.findall(r"[A-Za-z]+|\d+", prompt + reference)
        }
        asked = {
            word
            for e in tasks.get(name).load("test")
            for word in re.findall(
                r"[A-Za-z]+|\d+", re.sub(r"assert .*\n", "", e.prompt) + e.reference
            )
        }
        assert asked <= known
        blocks = {part for _, _, pattern in train[name] for part in pattern}
        if name != "mini-gsm":
            assert {
                part for e in tasks.get(name).load("test") for part in e.meta["pattern"]
            } <= blocks


def test_single_primitives_are_train_only(train):
    for name in NAMES[1:]:
        assert any(len(pattern) == 1 for _, _, pattern in train[name])
        assert all(
            len(e.meta["pattern"]) >= 2 for split in HELD_OUT for e in tasks.get(name).load(split)
        )


def test_worked_solutions_are_right(train):
    """Every equation holds, stays inside the number range, and the last one is the answer."""
    for _, reference, pattern in train["mini-gsm"][:5000]:
        equations = re.findall(r"(\d+)([-+*/])(\d+)=(\d+)", reference)
        assert 3 <= len(equations) <= 5
        steps = [Step(int(a), op, int(b), ()) for a, op, b, _ in equations]
        assert [step.result for step in steps] == [int(result) for *_, result in equations]
        assert all(step.result <= LARGEST for step in steps)
        assert tuple(step.normal() for step in steps) == pattern
        assert reference.endswith(f"#### {equations[-1][3]}")
