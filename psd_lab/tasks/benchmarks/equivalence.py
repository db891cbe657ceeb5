"""Equality of two answers to a mathematics problem.

With the package math-verify (optional) that library decides. Without it a normaliser of our own
does, loudly: it is stricter than math-verify (no algebra), so scores made with it may be lower.
Scores name the one that decided.
"""

from __future__ import annotations

import re
import threading
import warnings
from fractions import Fraction
from functools import lru_cache
from importlib import metadata

NORMALISER = "normaliser-1"
_DROPPED = re.compile(
    r"\\left|\\right|\\[!,;: ]|\\quad|\\displaystyle|\^\\circ|\^\{\\circ\}|\\%|%|\\\$|\$|°"
)
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mbox|mathbf)\{([^{}]*)\}")
_FRACTION = re.compile(r"^(-?)\\frac\{(-?\d+)\}\{(-?\d+)\}$")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:\D|$))")
_UNITS = re.compile(
    r"(?<=\d)(?:degrees?|units?|cents?|dollars?|inches|feet|cm|meters?|minutes?|hours?|square\w*)(?:\^\{?\d\}?)?$"
)


@lru_cache(maxsize=1)
def decider() -> str:
    """Return what decides here, with its version; warn once when it is the normaliser."""
    try:
        return f"math-verify {metadata.version('math-verify')}"
    except metadata.PackageNotFoundError:
        warnings.warn(
            "math-verify is not installed: mathematics answers are compared by a simple normaliser,"
            " which accepts fewer equal forms; `pip install math-verify` for comparable scores.",
            stacklevel=3,
        )
        return NORMALISER


def normal(answer: str) -> str:
    """Return the normaliser's form of an answer.

    In this order: spacing, delimiters and degree, percent and dollar signs go; \\text{x} becomes x;
    dfrac and tfrac become frac with braces; a leading `x=` goes; commas between thousands, units
    after a number and a final dot go:
    "\\\\dfrac12\\\\text{ cm}" -> "\\\\frac{1}{2}cm", "x = 1,000." -> "1000".
    """
    text = re.sub(r"\\[dt]frac", r"\\frac", answer.strip().strip("."))
    text = _TEXT.sub(r"\1", _DROPPED.sub("", text))
    text = re.sub(r"\s+", "", text)
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\sqrt(\d)", r"\\sqrt{\1}", text)
    text = re.sub(r"^[a-zA-Z]\w*=(?=.)", "", text)
    return _UNITS.sub("", _THOUSANDS.sub("", text)).rstrip(".")


def _number(text: str) -> Fraction | None:
    latex = _FRACTION.match(text)
    try:
        if latex:
            return Fraction(int(latex[2]), int(latex[3])) * (-1 if latex[1] else 1)
        return Fraction(text) if len(text) < 40 and "e" not in text.lower() else None
    except (ValueError, ZeroDivisionError):
        return None


def _brackets(text: str) -> str:
    return text[0] + text[-1] if len(text) > 1 and text[0] in "([" and text[-1] in ")]" else ""


def _parts(text: str) -> list[str]:
    inner = text[1:-1] if _brackets(text) else text
    parts, depth, current = [], 0, ""
    for sign in inner:
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += sign
    return [*parts, current]


def same_by_normaliser(answer: str, gold: str) -> bool:
    """Compare normal forms.

    They are equal as text, as rational numbers, or part by part in lists and pairs with equal
    brackets.
    """
    left, right = normal(answer), normal(gold)
    if left == right:
        return bool(left)
    numbers = _number(left), _number(right)
    if None not in numbers:
        return numbers[0] == numbers[1]
    mine, theirs = _parts(left), _parts(right)
    if len(mine) != len(theirs) or len(mine) < 2 or _brackets(left) != _brackets(right):
        return False
    return all(same_by_normaliser(one, other) for one, other in zip(mine, theirs, strict=True))


def same(answer: str, gold: str) -> bool:
    """Check whether an extracted answer equals the gold one, with what `decider` names."""
    if decider() == NORMALISER:
        return same_by_normaliser(answer, gold)
    from math_verify import parse, verify

    # Its limits are alarms on the clock: only the main thread may set them, and a busy machine must
    # not decide.
    seconds = 30 if threading.current_thread() is threading.main_thread() else None
    parsed = [parse(f"${text}$", parsing_timeout=seconds) for text in (gold, answer)]
    return bool(verify(*parsed, timeout_seconds=seconds))
