"""mini-humaneval: function bodies from a signature and docstring.

After HumanEval (Chen et al. 2021).
"""

from __future__ import annotations

import random
from typing import Any

from psd_lab.tasks.base import Draft, Task
from psd_lab.tasks.compositions import Composition, draw_program
from psd_lab.tasks.execution import NEEDS, judge_body


def _ask(
    rng: random.Random, composition: Composition, name: str, values: list[Any]
) -> tuple[str, str]:
    phrases = composition.phrases(rng)
    if rng.random() < 0.5:
        text = ", then ".join(phrases).capitalize() + "."
    else:
        text = " ".join(
            f"{'Then ' + phrase if i and i == len(phrases) - 1 else phrase.capitalize()}."
            for i, phrase in enumerate(phrases)
        )
    return f'def {name}({composition.takes}):\n    """{text}"""\n', composition.body(rng)


def draw(rng: random.Random) -> Draft:
    """Make one signature with docstring, its body and its hidden tests."""
    return draw_program(rng, _ask)


TASK = Task(
    "mini-humaneval",
    "Python function bodies from a signature and a docstring, scored by hidden tests",
    96,
    judge_body,
    draw,
    NEEDS,
)
