"""The embedded tasks: literal examples, determinism, separate splits, gold answers, bad input."""

import itertools
import json

import pytest

from psd_lab import tasks
from psd_lab.cli import main
from psd_lab.tasks import Example, fixed
from psd_lab.tasks.base import Task
from psd_lab.tasks.items import as_line
from psd_lib.errors import UserError

NAMES = ["mini-gsm", "mini-humaneval", "mini-mbpp"]
ITEM = Example("a", "p", "r", {"answer": "5"})
HELD_OUT = ("validation", "test")

GSM_PROMPT = (
    "Finn works for 7 dollars per hour. On Monday Finn works 7 hours and on Friday 2 hours. Then"
    " Finn pays 26 dollars for buttons. How many dollars does Finn have left?\n"
)
GSM_REFERENCE = (
    "For 7 hours on Monday Finn gets 7*7=49 dollars.\n"
    "For 2 hours on Friday Finn gets 2*7=14 dollars.\n"
    "Together this is 49+14=63 dollars.\n"
    "After Finn pays 26 dollars, Finn has 63-26=37 dollars left.\n"
    "#### 37"
)
GSM_META = {"answer": "37", "pattern": ["7*7=49", "2*7=14", "14+49=63", "63-26=37"]}
HUMANEVAL_PROMPT = (
    'def process(xs):\n    """Negate each number, then keep the numbers below 3."""\n'
)
HUMANEVAL_REFERENCE = (
    "    xs = [-x for x in xs]\n"
    "    result = []\n"
    "    for x in xs:\n"
    "        if x < 3:\n"
    "            result.append(x)\n"
    "    xs = result\n"
    "    return xs\n"
)
MBPP_PROMPT = (
    "Given a list of numbers, write a function to sort the numbers from large to small, compute the"
    " step from each number to the next and compute the length of the list.\nassert convert([1, 5,"
    " 5, 3, 17, 10]) == 5\nassert convert([8, 20, 15, 11, 0, 20]) == 5\n"
)
MBPP_REFERENCE = (
    "def convert(xs):\n"
    "    xs = sorted(xs, reverse=True)\n"
    "    xs = [b - a for a, b in zip(xs, xs[1:])]\n"
    "    return len(xs)\n"
)


def test_names_are_in_order_of_presentation():
    assert tasks.embedded() == NAMES
    assert tasks.names() == NAMES + tasks.benchmark_names()
    assert [tasks.get(name).name for name in NAMES] == NAMES


def test_literal_first_items():
    gsm, humaneval, mbpp = (tasks.get(name).load("test", 1)[0] for name in NAMES)
    assert (gsm.prompt, gsm.reference, gsm.meta) == (GSM_PROMPT, GSM_REFERENCE, GSM_META)
    assert (humaneval.prompt, humaneval.reference) == (HUMANEVAL_PROMPT, HUMANEVAL_REFERENCE)
    assert (mbpp.prompt, mbpp.reference) == (MBPP_PROMPT, MBPP_REFERENCE)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_stream(name):
    task = tasks.get(name)
    first, again, other = (list(itertools.islice(task.stream(seed), 50)) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_every_gold_word_problem_scores_correct():
    task = tasks.get("mini-gsm")
    pairs = [(e.reference, e) for split in HELD_OUT for e in task.load(split)]
    assert {(score.correct, score.reason) for score in task.score_many(pairs)} == {(True, "ok")}


@pytest.mark.thorough
@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("count", [40, pytest.param(None, marks=pytest.mark.slow)])
def test_gold_programs_pass_and_programs_of_others_do_not(name, count):
    task = tasks.get(name)
    examples = [e for split in HELD_OUT for e in task.load(split, count and count // 2)]
    scores = task.score_many((e.reference, e) for e in examples)
    assert {(score.correct, score.reason) for score in scores} == {(True, "ok")}
    if count:
        shifted = examples[1:] + examples[:1]
        wrong = task.score_many(
            (other.reference, e) for e, other in zip(examples, shifted, strict=True)
        )
        assert sum(score.correct for score in wrong) == 0


def test_number_is_taken_from_the_marker_first():
    task, item = tasks.get("mini-gsm"), Example("x", "q\n", "r", {"answer": "19"})
    cases = {
        "12+7=19\n#### 19": (True, "19", "ok"),
        "#### 19 or 20": (True, "19", "ok"),
        "#### 20, not 19": (False, "20", "wrong"),
        "so 12+7=19.": (True, "19", "ok (last number)"),
        "19 and 20": (False, "20", "wrong (last number)"),
        "#### 19.0": (True, "19.0", "ok"),
        "#### -19": (False, "-19", "wrong"),
        "": (False, None, "no answer"),
        "none": (False, None, "no answer"),
    }
    for completion, expected in cases.items():
        score = task.score(completion, item)
        assert (score.correct, score.answer, score.reason) == expected, completion


def test_load_takes_the_first_items():
    task = tasks.get("mini-gsm")
    assert task.load("test", 7) == task.load("test")[:7]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: tasks.get("gsm"),
            r"Unknown task 'gsm': use one of mini-gsm, mini-humaneval, mini-mbpp, gsm8k, humaneval,"
            r" mbpp, "
            r"mbpp-sanitized, math500\.",
        ),
        (
            lambda: tasks.get("mini-gsm", "psd-512"),
            r"Task mini-gsm is embedded and takes no profile and no data_dir",
        ),
        (
            lambda: tasks.get("mini-gsm", data_dir="."),
            r"Task mini-gsm is embedded and takes no profile and no data_dir",
        ),
        (
            lambda: tasks.get("mini-gsm").load("dev"),
            r"Unknown split 'dev' of task mini-gsm: use one of train, validation, test\.",
        ),
        (lambda: tasks.get("mini-gsm").stream(0, "dev"), r"Unknown split 'dev'"),
        (
            lambda: tasks.get("mini-gsm").load("test", 0),
            r"limit must be a whole number of at least 1 or None, not 0\.",
        ),
        (
            lambda: tasks.get("mini-gsm").score_many([], workers=0),
            r"workers must be a whole number of at least 1, not 0\.",
        ),
        (lambda: Task("f", "", 8, judge=None).stream(0), r"Task f has fixed sets only"),
        (
            lambda: tasks.get("mini-gsm").load("test", 1.5),
            r"limit must be a whole number of at least 1 or None, not 1\.5\.",
        ),
        (lambda: tasks.get("mini-gsm").load("test", True), r"limit must be .*, not True\."),
        (lambda: tasks.get("mini-gsm").load("test", "3"), r"limit must be .*, not '3'\."),
        (lambda: tasks.get("mini-gsm").score_many([], "2"), r"workers must be .*, not '2'\."),
        (lambda: tasks.get("mini-gsm").load("test", 10**30), r"at most 1000000000 or None"),
        (lambda: tasks.get("mini-gsm").score_many(3), r"pairs must be a list of completions"),
        (lambda: tasks.get(["mini-gsm"]), r"Unknown task \['mini-gsm'\]"),
        (lambda: tasks.describe([]), r"Unknown task \[\]"),
        (lambda: tasks.profiles("gsm"), r"Unknown task 'gsm'"),
        (lambda: tasks.get("gsm8k", ""), r"Unknown profile ''"),
        (lambda: tasks.get("gsm8k", data_dir=3), r"data_dir must be the path of a folder, not 3"),
        (lambda: tasks.get("gsm8k", data_dir="~nobody-at-all/x"), r"data_dir must be the path"),
        (lambda: tasks.get("gsm8k", data_dir=".").load(["test"]), r"Unknown split \['test'\]"),
        (lambda: tasks.get("mini-gsm").score_many([3]), r"pair 1 must be a completion"),
        (lambda: tasks.get("mini-gsm").score(None, ITEM), r"pair 1 must be a completion"),
        (lambda: tasks.get("mini-gsm").score("4", "4"), r"pair 1 must be a completion"),
        (
            lambda: tasks.get("mini-gsm").score("4", Example("x", "p", "r", {})),
            r"item 'x': answer in meta must be a number written as text, and is missing\.",
        ),
        (
            lambda: tasks.get("mini-mbpp").score("4", Example("x", "p", "r", {"tests": "a"})),
            r"item 'x': tests in meta must be a list of at least one text, not 'a'\.",
        ),
    ],
)
def test_bad_requests_say_what_is_accepted(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_missing_file_says_how_to_write_it(tmp_path, monkeypatch):
    monkeypatch.setattr("psd_lab.paths.TASKS", tmp_path)
    for call in (tasks.get("mini-mbpp").load, tasks.get("mini-mbpp").data_hash):
        with pytest.raises(
            UserError, match=r"test.jsonl does not exist: run `psd tasks mini-mbpp`"
        ):
            call()


def line(**changed):
    item = {"id": "x", "prompt": "p", "reference": "r", "meta": {"answer": "5"}}
    return json.dumps({**item, **changed})


@pytest.mark.parametrize(
    "line",
    [
        '{"id": "x"',
        '{"id": "x"}',
        "[]",
        "",
        "null",
        '{"id": 1, "prompt": 2, "reference": 3}',
        line(id=None),
        line(prompt=["p"]),
        line(prompt="\ud800"),
        line(meta=[]),
        line(extra=1),
        "[" * 100_000,
    ],
    ids=range(12),
)
def test_corrupt_line_is_named(tmp_path, monkeypatch, line):
    monkeypatch.setattr("psd_lab.paths.TASKS", tmp_path)
    task = tasks.get("mini-gsm")
    path = task.path("test")
    path.parent.mkdir()
    path.write_text(as_line(ITEM) + line + "\n")
    assert task.load("test", 1)[0].id == "a"
    with pytest.raises(UserError, match=r"test.jsonl line 2 is not an item"):
        task.load("test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"test.jsonl is empty: at least one item is expected"),
        (b"\xff\xfe{}", r"test.jsonl is not a text in UTF-8"),
        (line(id="\xfc").encode("latin-1"), None),
        (json.dumps({"id": "\xfc"}, ensure_ascii=False).encode("latin-1"), "not a text in UTF-8"),
        (f"{line()}\n{line(prompt='q')}\n".encode(), r"test.jsonl has the id 'x' twice"),
        (
            line(meta={"answer": 5}).encode(),
            r"line 1: answer in meta must be a number written as text, not 5\.",
        ),
        (line(meta={"answer": "five"}).encode(), r"line 1: answer in meta must be .*, not 'five'"),
        (line(meta={}).encode(), r"line 1: answer in meta must be .*, and is missing\."),
    ],
    ids=range(8),
)
def test_a_file_that_is_not_a_set_of_items_is_one_sentence(tmp_path, monkeypatch, content, message):
    monkeypatch.setattr("psd_lab.paths.TASKS", tmp_path)
    task = tasks.get("mini-gsm")
    path = tmp_path / "mini-gsm" / "test.jsonl"
    path.parent.mkdir()
    path.write_bytes(content)
    if message is None:
        assert [item.id for item in task.load("test")] == ["\xfc"]
        return
    with pytest.raises(UserError, match=message) as caught:
        task.load("test")
    assert str(caught.value).count(". ") == 0


def test_embedded_tasks_have_no_protocol():
    for name in tasks.embedded():
        task = tasks.get(name)
        assert (task.version, task.profile, task.protocol, task.block_length) == (None,) * 4


def test_the_command_writes_the_sets_it_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("psd_lab.paths.TASKS", tmp_path)
    monkeypatch.setattr(fixed, "SIZES", {"train": 5, "validation": 2, "test": 3})
    assert main(["tasks", "mini-gsm"]) == 0
    assert [len(tasks.get("mini-gsm").load(split)) for split in fixed.SIZES] == [5, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["mini-gsm"]
    assert main(["tasks", "gsm8k"]) == 2
    assert "Task gsm8k is published data and is not generated here" in capsys.readouterr().err
