"""mini-mbpp: a whole function from a description and two visible tests, after MBPP (Austin et al.
2021).
"""

from __future__ import annotations

import random
from typing import Any

from psd_lab.tasks.base import Draft, Task
from psd_lab.tasks.compositions import Composition, draw_program
from psd_lab.tasks.execution import NEEDS, judge_function

SUBJECTS = {"xs": "a list of numbers", "s": "a text", "n": "a number"}
VISIBLE = 2


def _ask(
    rng: random.Random, composition: Composition, name: str, values: list[Any]
) -> tuple[str, str]:
    phrases = composition.phrases(rng)
    listed = (
        " and ".join((", ".join(phrases[:-1]), phrases[-1])) if len(phrases) > 1 else phrases[0]
    )
    subject = SUBJECTS[composition.takes]
    text = rng.choice(
        (
            f"Write a function that takes {subject}. It should {listed}.",
            f"Given {subject}, write a function to {listed}.",
        )
    )
    shown = "".join(
        f"assert {name}({value!r}) == {composition(value)!r}\n" for value in values[:VISIBLE]
    )
    return f"{text}\n{shown}", f"def {name}({composition.takes}):\n{composition.body(rng)}"


def draw(rng: random.Random) -> Draft:
    """Make one description with two of its tests, the function and all its tests."""
    return draw_program(rng, _ask)


TASK = Task(
    "mini-mbpp",
    "Python functions from a description and two visible tests, scored by all tests",
    112,
    judge_function,
    draw,
    NEEDS,
)
