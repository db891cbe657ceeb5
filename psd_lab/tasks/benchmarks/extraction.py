"""Read the number out of an answer to a word problem, in the ways of published scores.

Sources of the rules: lm-evaluation-harness, tasks gsm8k and gsm8k_cot (strict, strict_answer_is,
flexible), and OpenCompass (opencompass). last_number and boxed_first are ours and compare as
numbers. Shares of gold answers that each accepts in several surface forms are tabulated in
tests/test_extraction.py.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

VERSION = "numbers-1"
_HASHES = re.compile(r"#### (-?[0-9.,]+)")
_ANSWER_IS = re.compile(r"The answer is (-?[0-9.,]+).")
_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_OPENCOMPASS = re.compile(r"-?\d+\.\d+|-?\d+")
_NUMBER = re.compile(r"-?\$?(?:\d[\d,]*(?:\.\d+)?|\.\d+)")
_SAYS = re.compile(r"answer(?: is|:)\s*\**\s*(-?\$?(?:\d[\d,]*(?:\.\d+)?|\.\d+))", re.IGNORECASE)
_BRACE = re.compile(r"(?P<box>\\boxed\s*\{)|[{}]")
_CENT = Decimal("1e-6")


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[1] if match else None


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    last = deque(pattern.finditer(text), maxlen=1)
    return last[0][0] if last else None


def boxed(text: str) -> str | None:
    """Return the content of the last complete \\boxed{...}, nested braces included, else None."""
    opened: list[int | None] = []  # where the content of a box begins, None for another brace
    last: tuple[int, int] | None = None
    for sign in _BRACE.finditer(text):
        if sign[0] != "}":
            opened.append(sign.end() if sign["box"] else None)
        elif opened and (start := opened.pop()) is not None and (last is None or start > last[0]):
            last = (start, sign.start())
    return text[last[0] : last[1]] if last else None


def _boxed_first(text: str) -> str | None:
    inside = boxed(text)
    number = _last(_NUMBER, inside) if inside is not None else None
    said = [match[1] for match in _SAYS.finditer(text)]
    return number or (said[-1] if said else None) or _last(_NUMBER, text)


def normal(text: str) -> str:
    """Return the harness's normal form of an answer.

    No comma, no dollar, nothing up to `#### `, no final dot, lower case.
    """
    text = re.sub(r"(?s).*#### ", "", text.replace(",", "").replace("$", ""))
    return re.sub(r"\.$", "", text).lower()


def value(text: str) -> Decimal | None:
    """Return the number that a text such as "$1,234.50" stands for, else None."""
    try:
        number = Decimal(text.replace(",", "").replace("$", "").strip().rstrip("."))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _same_text(answer: str, gold: str) -> bool:
    return normal(answer) == normal(gold)


def _same_number(answer: str, gold: str) -> bool:
    left, right = value(answer), value(gold)
    return left is not None and right is not None and abs(left - right) < _CENT


@dataclass(frozen=True)
class Extractor:
    """A way to read an answer (`read`: completion -> text or None) and to compare it with the gold
    one (`same`).
    """

    read: Callable[[str], str | None]
    same: Callable[[str, str], bool]


EXTRACTORS: dict[str, Extractor] = {
    "strict": Extractor(lambda text: _first(_HASHES, text), _same_text),
    "strict_answer_is": Extractor(lambda text: _first(_ANSWER_IS, text), _same_text),
    "flexible": Extractor(lambda text: _last(_FLEXIBLE, text), _same_text),
    "last_number": Extractor(lambda text: _last(_NUMBER, text), _same_number),
    "opencompass": Extractor(
        lambda text: _last(_OPENCOMPASS, text.split("Question:")[0]), _same_number
    ),
    "boxed_first": Extractor(_boxed_first, _same_number),
}


def extract(completion: str) -> dict[str, str | None]:
    """Return what each extractor reads, side by side.

    "The answer is 5." -> strict None, strict_answer_is "5.", flexible "5.", ...
    """
    return {name: extractor.read(completion) for name, extractor in EXTRACTORS.items()}


def verdicts(answers: dict[str, str | None], gold: str) -> dict[str, bool]:
    """Compare what each extractor read with the gold answer, by its own comparison.

    Nothing read is wrong.
    """
    return {
        name: text is not None and EXTRACTORS[name].same(text, gold)
        for name, text in answers.items()
    }
