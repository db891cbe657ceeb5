"""Programs of code benchmarks: post-processing by literal cases, references that pass, programs
that do not.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark_data import FOLDER, needs_data

from psd_lab import tasks
from psd_lab.tasks.benchmarks.postprocess import (
    POSTPROCESS,
    fenced,
    longest_parsable,
    needed,
    parse,
)

PROMPT = 'import math\n\n\ndef helper(x):\n    return x + 1\n\n\ndef f(x):\n    """Add two."""\n'
BODY = "    return helper(helper(x))\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Sure:\n```python\nx = 1\n```\nand\n```python\ny = 2\n```", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("x = 1\n```\nThat is all.", "x = 1\n"),
        ("x = 1\n", "x = 1\n"),
        ("", ""),
        ("```python\nx = 1", "x = 1"),
        ("```PY \r\nx\r\n```", "x\r\n"),
        ("```js\nno\n```\n```python\nyes\n```", "yes\n"),
        ("```python3\nx = 1\n```", "x = 1\n"),
        ("```Python3.11\nx = 1\n```", "x = 1\n"),
        ("``` python\nx = 1\n```", "x = 1\n"),
        ("```ipython3\nx = 1\n```", "x = 1\n"),
        ("```py3 \nx = 1\n```", "x = 1\n"),
        ('```python title="x.py"\nx = 1\n```', "x = 1\n"),
        ("```python:x.py\nx = 1\n```", "x = 1\n"),
        ("```{.python}\nx = 1\n```", "x = 1\n"),
        ("````python\nx = '```'\n````", "x = '```'\n"),
        ("~~~python\nx = 1\n~~~", "x = 1\n"),
        ("```python x = 1```", "x = 1"),
        ("```x = 1```", "x = 1"),
        ("```c++\nx = 1\n```", "x = 1\n"),
        ("```python-repl\n>>> x\n```\n```python\nx = 1\n```", "x = 1\n"),
        ("x = 1\n``` This sets x.\nAnd ```y``` stays.", "x = 1\n"),
        ("# ~~~\nx = 1\n# ~~~\n", "# ~~~\nx = 1\n# ~~~\n"),
    ],
)
def test_the_first_python_fence_is_the_code(text, code):
    assert fenced(text) == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1\ny = 2\nno code\nz = 3", "x = 1\ny = 2"),
        ("no code\nx = 1\ny = 2", "x = 1\ny = 2"),
        ("x = 1\nno code\nz = 3", "x = 1"),
        ("def f():\n    return 1\n\nf(", "def f():\n    return 1\n"),
        ("no code", ""),
        ("", ""),
        ("x = 1\n" * 150, "\n".join(["x = 1"] * 100)),
    ],
    ids=range(7),
)
def test_the_longest_run_of_lines_that_parses(text, code):
    assert longest_parsable(text) == code


@given(st.text(alphabet="ax=(): \n#'", max_size=60))
def test_what_is_kept_parses_and_stands_in_the_text(text):
    kept = longest_parsable(text)
    assert parse(kept) is not None and kept in text


def test_only_what_the_entry_point_needs_is_kept():
    code = (
        PROMPT
        + BODY
        + "\n\ndef other(x):\n    return f(x)\n\nLIMIT = 3\nprint(f(1))\nclass A:\n    pass\n"
    )
    assert (
        needed(code, "f") == "import math\ndef helper(x):\n    return x + 1\n"
        'def f(x):\n    """Add two."""\n    return helper(helper(x))\n'
    )
    assert needed("N = 2\ndef f(x):\n    return x + N\n", "f").startswith("N = 2\n")
    assert needed("def f(x):\n    return 1\n", "g") == "\n"


def test_a_bare_signature_gives_way_and_the_first_answer_stays():
    written = "def f(x):\n    return 1\n"
    program = POSTPROCESS["fence-entry-1"](
        f"```python\n{written}\ndef f(x):\n    return 2\n```", 'def f(x):\n    """One."""\n', "f"
    )
    assert program == written


@pytest.mark.parametrize(
    ("version", "completion", "program"),
    [
        ("as-is-1", " x", " x"),
        ("prompt-as-is-1", BODY, PROMPT + BODY),
        ("fence-1", "a\n```python\nx\n```", "x\n"),
        ("begin-done-1", "[BEGIN]\nx = 1\n[DONE]\nmore", "\nx = 1\n"),
        ("begin-done-1", "x = 1", "x = 1"),
        (
            "fence-entry-1",
            "no code at all",
            (
                'import math\n\n\ndef helper(x):\n    return x + 1\n\n\ndef f(x):\n    """Add'
                ' two."""\n'
            ),
        ),
    ],
    ids=range(6),
)
def test_each_version_makes_its_program(version, completion, program):
    made = POSTPROCESS[version](completion, PROMPT, "f")
    assert (
        (parse(made) is not None and "helper(helper" not in made)
        if version.startswith("fence-entry")
        else made == program
    )


@pytest.mark.parametrize(
    "text",
    ["(" * 300, "x = " + "-" * 5000 + "1", "\0", "def f(:\n" * 100],
    ids=["nested", "long", "nul", "broken"],
)
def test_hostile_text_is_no_program_and_no_crash(text):
    assert isinstance(POSTPROCESS["fence-entry-1"](text, PROMPT, "f"), str)


CASES = [
    ("humaneval", "psd-512"),
    ("humaneval", "llada-native:base"),
    ("humaneval", "dream-native:instruct"),
    ("mbpp", "psd-512"),
    ("mbpp", "dream-native:instruct"),
    ("mbpp-sanitized", "sdar-native"),
]


@needs_data
@pytest.mark.parametrize(("name", "profile"), CASES)
@pytest.mark.parametrize("count", [6, pytest.param(None, marks=pytest.mark.slow)])
def test_reference_solutions_pass(name, profile, count):
    task = tasks.get(name, profile, FOLDER)
    splits = ["test"] if count else list(task.spec.files.files)
    examples = [example for split in splits for example in task.load(split)]
    examples = examples[:: len(examples) // count] if count else examples
    scores = task.score_many((example.reference, example) for example in examples)
    assert {
        (example.id, score.reason)
        for example, score in zip(examples, scores, strict=True)
        if not score.correct
    } == set()
    assert all(
        score.details["postprocess"] == task.protocol.headline
        and score.details["sandbox"] != "none"
        for score in scores
    )


@needs_data
@pytest.mark.parametrize(("name", "profile"), CASES[::3])
def test_wrong_programs_fail_and_nothing_is_no_answer(name, profile):
    task = tasks.get(name, profile, FOLDER)
    examples = task.load("test", 4)
    other = [examples[at - 1].reference for at in range(4)]
    scores = task.score_many([*zip(other, examples, strict=True), (" \n", examples[0])])
    assert [score.correct for score in scores] == [False] * 5
    assert scores[4].reason == "no answer" and scores[4].answer is None


@needs_data
def test_a_fence_a_repeated_prompt_and_chatter_after_it_are_understood():
    task = tasks.get("humaneval", "psd-512", FOLDER)
    example = task.load("test", 1)[0]
    whole = (
        f"Here it is:\n```python\n{example.meta['prompt']}{example.reference}```\nIt works"
        " because ..."
    )
    chatty = example.reference + "\nThis function compares all pairs.\n"
    assert [score.correct for score in task.score_many([(whole, example), (chatty, example)])] == [
        True,
        True,
    ]
    stopped = tasks.get("mbpp", "psd-512", FOLDER)
    item = stopped.load("test", 1)[0]
    assert stopped.score(item.reference + "\n[DONE]\nand then", item).correct
    assert not stopped.score("and then\n" + item.reference, item).correct


@needs_data
def test_test_code_that_builds_the_candidates_own_objects_runs():
    task = tasks.get("mbpp", "psd-512", FOLDER)
    example = next(example for example in task.load("test") if example.id == "mbpp/367")
    assert example.meta["tests"][0].startswith("root = Node(1)")
    assert task.score(example.reference, example).correct
