"""What a row is, and the lines of a file: JSON whose last field is its checksum.

A row is a completion with its verdict. In a file they are two lines, a generation and a verdict,
so that scoring can be repeated, elsewhere and with other rules; rows of files that were written
before, and published ones, are one line. Besides there are lines for a run's provenance, for what
is about to be decoded (`begin`), for an example that could not be (`crash`), and for the orderly
end of a run (`closed`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

Row = dict[str, Any]
Key = tuple[str, str]
PROVENANCE = "provenance_block"
FORMAT = 2  # of files: from 2 on every line has a checksum
_MARK = b',"crc":"'
_TAIL = len(_MARK) + 8 + len(b'"}\n')


def _count(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and value >= least


def _time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


IDENTITY: dict[str, Callable[[Any], bool]] = {
    "config_hash": _text,
    "example_id": _text,
    "model": _text,
    "model_fingerprint": _text,
    "task": _text,
    "split": _text,
    "decoder": _text,
    "label": _text,
    "decode": lambda value: isinstance(value, dict),
    "exact": lambda value: isinstance(value, bool),
    "provenance": _text,
}
GENERATION = IDENTITY | {
    "completion": _text,
    "tokens": _count(0),
    "token_ids_hash": _text,
    "nfe": _count(1),
    "rows": _count(1),
    "query_tokens": _count(1),
    "second_nfe": _count(0),
    "second_query_tokens": _count(0),
    "model_ms": _time,
    "loop_ms": _time,
    "stopped": _text,
    "step_stats": lambda value: isinstance(value, dict),
}
VERDICT = {
    "config_hash": _text,
    "example_id": _text,
    "token_ids_hash": _text,
    "correct": lambda value: value is None or isinstance(value, bool),
    "answer": _text_or_none,
    "reason": _text,
}
# What a verdict may say besides; all of it but the identity becomes part of the row.
JUDGED = ("correct", "answer", "reason", "answers", "details", "postprocessing", "judged")
FIELDS = GENERATION | VERDICT
CRASH = IDENTITY | {"crash": _text}
BEGIN = {"config_hash": _text, "begin": lambda value: isinstance(value, list)}
CLOSED = {"closed": lambda value: value is True}


def key_of(row: Row) -> Key:
    """Name a row: its config hash and example id."""
    return row["config_hash"], row["example_id"]


def judged(row: Row, verdict: Row) -> Row:
    """Return a completion's row with another verdict, in the order of fields that rows have."""
    fields = {name: verdict[name] for name in JUDGED if name in verdict}
    found = {}
    for name, value in row.items():
        if name not in JUDGED:
            found[name] = value
        elif name == "postprocessing":
            found[name] = fields.pop(name, value)
        if name == "token_ids_hash":
            kept = {"postprocessing"} & row.keys()
            found |= {name: value for name, value in fields.items() if name not in kept}
    return found


def encode(value: Mapping[str, Any], checksum: bool = True) -> bytes:
    """Return the line of a file that holds a row.

    Raises:
        ValueError: A number is not finite.
    """
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    if not checksum:
        return body + b"\n"
    return body[:-1] + _MARK + f"{crc32(body):08x}".encode() + b'"}\n'


def decode(raw: bytes, checksum: bool) -> dict[str, Any]:
    """Return what a line holds, in any of its kinds.

    Args:
        checksum: Whether the line must have one; where it has one it must fit in any case.

    Raises:
        ValueError: The line is something else; the message says what is wrong.
    """
    body, marked = raw, raw[-_TAIL:].startswith(_MARK)
    if marked:
        body = raw[:-_TAIL] + b"}"
        if raw[-_TAIL + len(_MARK) : -3] != f"{crc32(body):08x}".encode():
            raise ValueError("it is not what was written: its checksum does not fit")
    elif checksum:
        raise ValueError("it has no checksum")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError("it is not an object")
    if PROVENANCE in value:
        if not isinstance(value[PROVENANCE], dict) or not _text(value.get("id")):
            raise ValueError("it is not a run's provenance")
        return value
    for name, fits in _fields(value, checksum).items():
        if name not in value:
            raise ValueError(f"it has no field {name}")
        if not fits(value[name]):
            raise ValueError(f"its field {name} is {str(value[name])[:60]!r}")
    return value


def _fields(value: dict[str, Any], new: bool) -> dict[str, Callable[[Any], bool]]:
    """Return the fields that a line of its kind must have; earlier files hold two kinds only."""
    if "crash" in value:
        return CRASH
    if not new:
        return FIELDS
    if "begin" in value:
        return BEGIN
    if "closed" in value:
        return CLOSED
    if "correct" not in value:
        return GENERATION
    return FIELDS if "completion" in value else VERDICT
