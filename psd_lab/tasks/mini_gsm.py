"""mini-gsm: grade-school word problems with worked solutions, after GSM8K (Cobbe et al. 2021)."""

from __future__ import annotations

import random
import re

from psd_lab.tasks.base import Draft, Example, Score, Task
from psd_lab.tasks.scenarios import draw_problem

MAX_PIECES = 105
_PIECES = re.compile(r"[A-Za-z]+|[^A-Za-z ]")
_STRICT = re.compile(r"####\s*(-?\d+(?:\.\d+)?)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def draw(rng: random.Random) -> Draft:
    """Make one word problem with three to five equations and its worked solution."""
    while True:
        text, steps = draw_problem(rng)
        if len(steps) < 3 or not all(step.fits() for step in steps):
            continue
        lines = [step.write(rng) for step in steps]
        answer = str(steps[-1].result)
        reference = "\n".join((*lines, f"#### {answer}"))
        if len(_PIECES.findall(reference)) > MAX_PIECES:
            continue
        return Draft(
            " ".join(text) + "\n",
            reference,
            tuple(step.normal() for step in steps),
            {"answer": answer},
        )


def judge(completion: str, example: Example) -> Score:
    """Compare the extracted number with the answer: the first `#### number`, else the last number.

    The reason says which of the two gave the answer.
    """
    strict = _STRICT.search(completion)
    numbers = _NUMBER.findall(completion)
    if strict is None and not numbers:
        return Score(False, None, "no answer")
    answer = strict.group(1) if strict else numbers[-1]
    correct = float(answer) == float(example.meta["answer"])
    how = "" if strict else " (last number)"
    return Score(correct, answer, ("ok" if correct else "wrong") + how)


TASK = Task(
    "mini-gsm",
    "grade-school word problems with worked solutions, scored by the final number",
    128,
    judge,
    draw,
    {"answer": "a number written as text"},
)
