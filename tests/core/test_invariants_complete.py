"""Every invariant of docs/invariants.md has tests named after it (`test_invariant_<n>_...`)."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "invariants.md"
NAME = re.compile(r"^def test_invariant_((?:(?:and_)?\d+_)+)", re.MULTILINE)


def numbers(text: str) -> list[list[int]]:
    """The invariants that each test function of a file bears in its name."""
    return [[int(number) for number in re.findall(r"\d+", found)] for found in NAME.findall(text)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("def test_invariant_23_the_8_by_8_mask():", [[23]]),
        ("def test_invariant_1_2_9_and_10_every_policy(model):", [[1, 2, 9, 10]]),
        ("def test_invariant_7_an_oracle_needs_3_calls():", [[7]]),
        ("def test_something_of_invariant_3():", []),
    ],
)
def test_how_a_name_is_read(name, expected):
    assert numbers(name) == expected


def test_every_invariant_of_the_page_has_a_test_of_its_number():
    page = PAGE.read_text(encoding="utf-8")
    listed = [int(number) for number in re.findall(r"^(\d+)\. \*\*", page, re.MULTILINE)]
    assert listed == list(range(1, 24))
    texts = [path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("test_*.py"))]
    assert {number for text in texts for test in numbers(text) for number in test} == set(listed)
    assert not any(re.search(r"^def test_invariants_", text, re.MULTILINE) for text in texts), (
        "write test_invariant_<n>_and_<m>_..., so that the numbers are found"
    )
