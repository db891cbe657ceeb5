"""The metrics of `evaluate`: they load from their folders without a network and decide as the tasks
do.
"""

import functools
import json

import pytest
from support.benchmark_data import FOLDER, needs_data

from psd_lab import metrics, tasks
from psd_lab.tasks.items import Example, as_line
from psd_lib.errors import UserError

evaluate = pytest.importorskip(
    "evaluate", reason="EVALUATE ABSENT: metrics are NOT tested; install psd-lib[benchmarks]"
)


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Loads a metric by its folder, once."""
    import huggingface_hub.constants

    assert huggingface_hub.constants.HF_HUB_OFFLINE, "tests run without a network"
    cache = str(tmp_path_factory.mktemp("metrics"))
    return functools.cache(lambda name: evaluate.load(metrics.path(name), cache_dir=cache))


def test_names_are_the_folders():
    assert metrics.names() == ["code_tests", "gsm8k_answer", "math_answer", "task_score"]
    with pytest.raises(
        UserError, match="Unknown metric 'exact_match': use one of code_tests, gsm8k_answer"
    ):
        metrics.path("exact_match")


@needs_data
def test_numbers_are_judged_as_the_task_judges(load):
    task = tasks.get("gsm8k", data_dir=FOLDER)
    examples = task.load("test", 30)
    texts = [example.reference if at % 3 else f"It is {at}." for at, example in enumerate(examples)]
    scores = task.score_many(zip(texts, examples, strict=True))
    found = load("gsm8k_answer").compute(
        predictions=texts, references=[example.meta["answer"] for example in examples]
    )
    assert (
        found["correct"] == [score.correct for score in scores] and 0 < sum(found["correct"]) < 30
    )
    assert (
        found["accuracy"] == found["by_extractor"]["flexible"] == sum(found["correct"]) / 30
        and found["judged"] == found["n"] == 30
    )
    strict = load("gsm8k_answer").compute(
        predictions=["The answer is 5."] * 2,
        references=["#### 5", "6"],
        headline="strict_answer_is",
    )
    assert (strict["accuracy"], strict["by_extractor"]["strict"]) == (0.5, 0.0)


@needs_data
@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("humaneval", "psd-512"),
        ("mbpp", "dream-native:instruct"),
        ("mbpp-sanitized", "sdar-native"),
    ],
)
def test_programs_are_judged_as_the_task_judges(load, name, profile):
    task = tasks.get(name, profile, FOLDER)
    examples = task.load("test", 4)
    texts = [examples[0].reference, "    return None\n", "", examples[3].reference]
    scores = task.score_many(zip(texts, examples, strict=True))
    found = load("code_tests").compute(
        predictions=texts,
        references=[json.dumps(example.meta) for example in examples],
        postprocess=task.protocol.headline,
    )
    assert found["correct"] == [score.correct for score in scores] == [True, False, False, True]
    again = load("task_score").compute(
        predictions=texts, references=[as_line(e) for e in examples], task=name, profile=profile
    )
    assert again["correct"] == found["correct"] and again["accuracy"] == 0.5


@pytest.mark.parametrize("name", tasks.embedded())
def test_embedded_tasks_are_judged_as_the_task_judges(load, name):
    examples = tasks.get(name).load("test", 3)
    texts = [examples[0].reference, examples[0].reference, ""]
    scores = tasks.get(name).score_many(zip(texts, examples, strict=True))
    found = load("task_score").compute(
        predictions=texts, references=[as_line(example) for example in examples], task=name
    )
    assert found["correct"] == [score.correct for score in scores] == [True, False, False]


def test_mathematics_names_what_compared(load):
    found = load("math_answer").compute(
        predictions=[r"so \boxed{\frac12}", "2"], references=[r"\frac{1}{2}", "2"]
    )
    assert found["correct"] == [True, False] and found["by_extractor"]["last_number"] == 0.5
    assert found["equivalence"].startswith(("normaliser-", "math-verify "))


@pytest.mark.parametrize(
    ("name", "reference", "options", "message"),
    [
        (
            "gsm8k_answer",
            "5",
            {"headline": "loose"},
            "Unknown extractor 'loose': use one of strict",
        ),
        ("math_answer", "5", {"headline": "loose"}, "Unknown reader 'loose': use one of boxed"),
        ("code_tests", "{}", {}, "reference 1 of code_tests must be a JSON object"),
        ("code_tests", "5", {}, "reference 1 of code_tests must be"),
        (
            "code_tests",
            "{}",
            {"postprocess": "none"},
            "Unknown post-processing 'none': use one of as-is-1",
        ),
        ("task_score", "{}", {"task": "mini-gsm"}, "reference 1 of task_score is not an item"),
        ("task_score", as_line(Example("a", "b", "c", {})), {"task": "gsm"}, "Unknown task 'gsm'"),
        (
            "task_score",
            as_line(Example("a", "b", "c", {})),
            {"task": "mini-gsm"},
            "reference 1 of task_score: answer in meta must be a number written as text",
        ),
        (
            "code_tests",
            json.dumps({"tests": "assert f()", "imports": ""}),
            {},
            "reference 1 of code_tests: tests in meta must be a list of at least one text",
        ),
        (
            "code_tests",
            json.dumps({"tests": ["assert f()"], "imports": ""}),
            {"timeout": "long"},
            "limit cpu must be a positive number of seconds, at most 86400 .*, not 'long'",
        ),
        (
            "code_tests",
            json.dumps({"tests": ["assert f()"], "imports": ""}),
            {"packages": ["nowhere_at_all"]},
            "the package 'nowhere_at_all' is not installed here",
        ),
        (
            "code_tests",
            json.dumps({"tests": ["assert f()"], "imports": ""}),
            {"workers": 0},
            "workers must be a whole number of at least 1, not 0",
        ),
    ],
    ids=range(12),
)
def test_bad_requests_say_what_is_accepted(load, name, reference, options, message):
    with pytest.raises(UserError, match=message):
        load(name).compute(predictions=["x"], references=[reference], **options)
