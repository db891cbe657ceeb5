"""Equality of mathematics answers: by the normaliser's documented rules, and by math-verify where
it is installed.
"""

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psd_lab import tasks
from psd_lab.tasks.benchmarks import equivalence
from psd_lab.tasks.benchmarks.equivalence import normal, same_by_normaliser

SAME = [
    (r"\dfrac12", r"\frac{1}{2}"),
    (r"\frac{1}{2}", "0.5"),
    (r"\frac{1}{2}", "1/2"),
    ("1,000", "1000"),
    ("$5$", "5"),
    (r"90^\circ", "90"),
    (r"\text{Evelyn}", "Evelyn"),
    (r"5\text{ cm}", "5"),
    (r"\left(3, \frac{\pi}{2}\right)", r"(3,\frac{\pi}{2})"),
    ("x = 3", "3"),
    (r"50\%", "50"),
    ("2.", "2"),
    ("1, 2", "1,2"),
    (r"\sqrt2", r"\sqrt{2}"),
    (r"-\frac{4}{2}", "-2"),
    ("(1, 0.5)", r"(1,\frac12)"),
]
DIFFERENT = [
    ("5", "-5"),
    ("(1,2)", "[1,2]"),
    ("1,2", "2,1"),
    ("(1,2)", "1,2"),
    ("", ""),
    ("", "0"),
    (r"\frac{1}{0}", "0"),
    ("12", "1,2"),
    (r"\sqrt{2}", "2"),
    ("1e3", "1000.5"),
    ("x", "y"),
]


@pytest.mark.parametrize(("answer", "gold"), SAME, ids=range(len(SAME)))
def test_equal_forms(answer, gold):
    assert same_by_normaliser(answer, gold) and same_by_normaliser(gold, answer)


@pytest.mark.parametrize(("answer", "gold"), DIFFERENT, ids=range(len(DIFFERENT)))
def test_different_answers(answer, gold):
    assert not same_by_normaliser(answer, gold) and not same_by_normaliser(gold, answer)


@given(st.text(alphabet=r"\frac{}[](),.0123456789x$ -", max_size=40))
def test_no_text_breaks_the_normaliser_and_equality_is_reflexive(text):
    assert same_by_normaliser(text, text) == bool(normal(text))


@pytest.mark.filterwarnings("ignore:math-verify is not installed")
def test_scores_say_what_compared_and_read_the_box(tmp_path):
    (tmp_path / "test.jsonl").write_text(
        '{"problem": "p", "solution": "so \\\\boxed{\\\\frac{1}{2}}", "answer": "\\\\frac{1}{2}"}\n'
    )
    task = tasks.get("math500", data_dir=tmp_path)
    example = task.load()[0]
    score = task.score(r"It is 3. \boxed{\dfrac{1}{2}} I say 7", example)
    assert (score.correct, score.answer, score.answers["last_number"]) == (
        True,
        r"\dfrac{1}{2}",
        "7",
    )
    assert score.details["equivalence"] == equivalence.decider() and score.details["verdicts"] == {
        "boxed": True,
        "final_answer": False,
        "last_number": False,
    }
    assert task.score(example.reference, example).correct
    final = task.score(
        "Final ForwardResult: The final answer is $\\frac{1}{2}$. I hope it is correct.", example
    )
    assert (final.correct, final.reason, final.details["verdicts"]["final_answer"]) == (
        False,
        "no answer",
        True,
    )


def test_without_the_library_the_normaliser_warns():
    if importlib.util.find_spec("math_verify"):
        pytest.skip("math-verify is installed here")
    equivalence.decider.cache_clear()
    with pytest.warns(
        UserWarning, match="math-verify is not installed: .* `pip install math-verify`"
    ):
        assert equivalence.decider() == equivalence.NORMALISER


@pytest.mark.parametrize(("answer", "gold"), [SAME[0], ("x^2+2x+1", "(x+1)^2")], ids=range(2))
def test_the_library_decides_where_it_is_installed(answer, gold):
    pytest.importorskip(
        "math_verify",
        reason="MATH-VERIFY ABSENT: its verdicts are NOT tested; pip install math-verify",
    )
    assert equivalence.same(answer, gold) and not equivalence.same("7", gold)
