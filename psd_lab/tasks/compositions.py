"""Compositions of primitives: the programs behind both code tasks.

With their texts, codes and tests.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from psd_lab.tasks.base import Draft
from psd_lab.tasks.primitives import Primitive, run_block, taking

FUNCTIONS = (
    "transform",
    "compute",
    "convert",
    "process",
    "build",
    "change",
    "solve",
    "apply",
    "derive",
    "make",
)
DEPTHS = (1,) + (2,) * 9 + (3,) * 20
SHORT_STYLE = 0.55
STARTS = ("xs", "xs", "xs", "s", "s", "n")
WORDS = (
    "red",
    "tree",
    "stone",
    "river",
    "cat",
    "house",
    "sea",
    "moon",
    "apple",
    "star",
    "rose",
    "bird",
)
TESTS = 8
MAX_PIECES = 72
MAX_PROMPT_PIECES = 85
LARGEST_NUMBER, LONGEST_LIST, LONGEST_TEXT = 999, 12, 24
_PIECES = re.compile(r"\n *|[A-Za-z_]+|\d|[^\sA-Za-z\d_]")


@dataclass(frozen=True)
class Composition:
    """One to three primitives, each with its constant, applied one after the other."""

    parts: tuple[tuple[Primitive, str], ...]

    @property
    def takes(self) -> str:
        """Type, and name, of the argument."""
        return self.parts[0][0].takes

    @property
    def pattern(self) -> tuple[str, ...]:
        """The answer pattern: the primitives with their constants."""
        return tuple(f"{block.takes}.{block.key}{':' + k if k else ''}" for block, k in self.parts)

    @cached_property
    def functions(self) -> list[Callable[[Any], Any]]:
        """One Python function per part."""
        return [run_block(block, k) for block, k in self.parts]

    def __call__(self, value: Any) -> Any:
        """Run the composition on one value."""
        for function in self.functions:
            value = function(value)
        return value

    def phrases(self, rng: random.Random) -> list[str]:
        """Draw one phrasing per part, in the imperative."""
        return [rng.choice(block.says).replace("{k}", k) for block, k in self.parts]

    def body(self, rng: random.Random) -> str:
        """Write the function body; every statement takes one of the two styles by chance."""
        lines: list[str] = []
        for number, (block, k) in enumerate(self.parts, 1):
            last = number == len(self.parts)
            if rng.random() < SHORT_STYLE:
                lines.append(
                    f"return {block.expression}" if last else f"{block.gives} = {block.expression}"
                )
            else:
                lines.extend(block.lines)
                lines.extend([f"return {block.gives}"] if last else [])
            lines = [line.replace("{k}", k) for line in lines]
        return "".join(f"    {line}\n" for line in lines)


def draw_value(rng: random.Random, kind: str) -> Any:
    """Draw an argument of a type.

    A short list of small integers, a number up to 60, or a few words.
    """
    if kind == "xs":
        return [rng.randint(-9 if rng.random() < 0.25 else 0, 20) for _ in range(rng.randint(4, 6))]
    return (
        rng.randint(1, 60)
        if kind == "n"
        else " ".join(rng.choice(WORDS) for _ in range(rng.randint(2, 3)))
    )


def _draw_values(rng: random.Random, kind: str) -> list[Any]:
    """Draw distinct arguments, one per test: a repeated test would test nothing."""
    values: list[Any] = []
    while len(values) < TESTS:
        value = draw_value(rng, kind)
        if value not in values:
            values.append(value)
    return values


def _small(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) <= LARGEST_NUMBER
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return len(value) <= LONGEST_LIST and all(_small(item) for item in value)


def _acceptable(composition: Composition, values: list[Any]) -> bool:
    """Check that values stay small, every part does something, and the input matters."""
    outcomes = set()
    changed = [False] * len(composition.parts)
    for value in values:
        for number, function in enumerate(composition.functions):
            after = function(value)
            changed[number] = changed[number] or after != value
            value = after
            if not _small(value):
                return False
        outcomes.add(repr(value))
    return all(changed) and len(outcomes) >= (2 if composition.parts[-1][0].gives == "flag" else 3)


def draw_composition(rng: random.Random) -> tuple[Composition, list[Any]]:
    """Draw a composition that is worth a function, and the inputs of its tests."""
    while True:
        kind, parts, keys = rng.choice(STARTS), [], set()
        start = kind
        for _ in range(rng.choice(DEPTHS)):
            choices = [block for block in taking(kind) if block.key not in keys]
            if not choices:
                break
            block = rng.choice(choices)
            keys.add(block.key)
            parts.append((block, rng.choice(block.constants)))
            kind = block.gives
        composition = Composition(tuple(parts))
        values = _draw_values(rng, start)
        if _acceptable(composition, values):
            return composition, values


def draw_program(rng: random.Random, ask: Callable[..., tuple[str, str]]) -> Draft:
    """Make one code item.

    `ask(rng, composition, name, values)` writes the prompt and the reference.
    """
    while True:
        composition, values = draw_composition(rng)
        name = rng.choice(FUNCTIONS)
        prompt, reference = ask(rng, composition, name, values)
        if (
            len(_PIECES.findall(reference)) <= MAX_PIECES
            and len(_PIECES.findall(prompt)) <= MAX_PROMPT_PIECES
        ):
            break
    tests = [f"assert {name}({value!r}) == {composition(value)!r}" for value in values]
    return Draft(
        prompt, reference, composition.pattern, {"tests": tests}, atomic=len(composition.parts) == 1
    )
