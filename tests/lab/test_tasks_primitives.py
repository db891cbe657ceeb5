"""The building blocks of the code tasks: both styles agree, every phrasing is unambiguous."""

import random

import pytest

from psd_lab.tasks.compositions import Composition, draw_composition, draw_value
from psd_lab.tasks.primitives import PRIMITIVES, run_block

CASES = [(block, constant) for block in PRIMITIVES for constant in block.constants]


def values(kind, rng):
    """Typical and awkward values of a type, among them what earlier blocks may produce."""
    if kind == "xs":
        return [draw_value(rng, "xs") for _ in range(6)] + [
            [],
            [0],
            [5, 5],
            [-9, 20, -9, 3, 7, 2, 4],
        ]
    if kind == "n":
        return [0, 1, 7, 9, 60, 360, -1, -13, -360]
    if kind == "s":
        return [draw_value(rng, "s") for _ in range(6)] + ["", "a", " e x", "Red Tree!", "a  b"]
    return [draw_value(rng, "s").split() for _ in range(6)] + [[], ["a"]]


@pytest.mark.parametrize(
    ("block", "constant"), CASES, ids=lambda value: getattr(value, "key", value) or "-"
)
def test_short_and_long_style_agree(block, constant):
    """The expected outputs come from the short style; the long one has to give the same and keep
    its argument.
    """
    code = "\n".join(
        [
            f"def long({block.takes}):",
            *(f"    {line}" for line in block.lines),
            f"    return {block.gives}",
        ]
    )
    scope = {}
    exec(code.replace("{k}", constant), scope)
    for value in values(block.takes, random.Random(block.key)):
        given = value if isinstance(value, str | int) else list(value)
        assert scope["long"](given) == run_block(block, constant)(value)
        assert given == value


def test_a_phrasing_means_one_block():
    said = {}
    for block in PRIMITIVES:
        assert len(set(block.says)) == len(block.says) >= 2
        for text in block.says:
            assert said.setdefault((block.takes, text), block.key) == block.key
            assert ("{k}" in text) == (block.constants != ("",))
    assert len({(block.takes, block.key) for block in PRIMITIVES}) == len(PRIMITIVES) >= 50


def test_both_styles_of_a_body_give_the_expected_outputs():
    rng, seen = random.Random(0), set()
    for _ in range(200):
        composition, inputs = draw_composition(rng)
        body = composition.body(rng)
        scope = {}
        exec(f"def f({composition.takes}):\n{body}", scope)
        assert [scope["f"](value) for value in inputs] == [composition(value) for value in inputs]
        assert len({repr(value) for value in inputs}) == len(inputs)
        block, constant = composition.parts[-1]
        seen.add(f"return {block.expression.replace('{k}', constant)}\n" in body)
    assert seen == {True, False}, "the last statement has to occur in both styles"


def test_no_composition_repeats_a_block_or_ignores_its_input():
    rng = random.Random(1)
    for _ in range(300):
        composition, inputs = draw_composition(rng)
        keys = [block.key for block, _ in composition.parts]
        assert len(set(keys)) == len(keys)
        assert len({repr(composition(value)) for value in inputs}) > 1


def test_pattern_names_blocks_and_constants():
    add = next(block for block in PRIMITIVES if block.key == "add")
    total = next(block for block in PRIMITIVES if block.key == "sum")
    composition = Composition(((add, "3"), (total, "")))
    assert composition.pattern == ("xs.add:3", "xs.sum")
    assert composition([1, 2]) == 9
