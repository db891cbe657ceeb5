"""Values of the standard library that cross as data: Decimal, Fraction, and those of datetime.

    datetime.date(2020, 2, 29)   ->   {"date": [2020, 2, 29]}

Each is read with the methods of its own type, never with those of a subclass. A value whose time
zone is not a fixed offset does not cross.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

LONGEST_DECIMAL = 20_000
_DATE = ("year", "month", "day")
_TIME = ("hour", "minute", "second", "microsecond", "fold")
_DELTA = ("days", "seconds", "microseconds")


class NoData(Exception):
    """A value of a known type that has no data, because of its time zone."""


def data_of(value: Any) -> dict[str, Any] | None:
    """Read a value as data with one tag; None when it is of no type known here.

    A module that was never imported cannot have made the value.
    """
    for module, name, tag, read in _KINDS:
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type) and isinstance(value, kind):
            try:
                return {tag: read(kind, value)}
            except NoData:
                return None
    return None


def scalar_of(value: Any) -> Any:
    """Turn a NumPy scalar into the Python value that it equals; None when it is not one."""
    generic = getattr(sys.modules.get("numpy"), "generic", None)
    if not (isinstance(generic, type) and isinstance(value, generic)):
        return None
    item = value.item()
    return None if isinstance(item, generic) else item


def _read(kind: type, value: Any, names: tuple[str, ...]) -> list[int]:
    return [getattr(kind, name).__get__(value) for name in names]


def _zone(kind: type, value: Any) -> list[int] | None:
    zone = kind.tzinfo.__get__(value)
    if zone is None:
        return None
    from datetime import timedelta, timezone

    if type(zone) is not timezone:
        raise NoData
    return _read(timedelta, zone.utcoffset(None), _DELTA)


# Module, type, tag, and how to read it; a datetime is a date, too, and therefore comes first.
_KINDS: tuple[tuple[str, str, str, Callable[[Any, Any], Any]], ...] = (
    ("decimal", "Decimal", "decimal", lambda kind, value: kind.__str__(value)),
    (
        "fractions",
        "Fraction",
        "fraction",
        lambda kind, value: [
            hex(part) for part in _read(kind, value, ("numerator", "denominator"))
        ],
    ),
    (
        "datetime",
        "datetime",
        "datetime",
        lambda kind, value: [*_read(kind, value, _DATE + _TIME), _zone(kind, value)],
    ),
    ("datetime", "date", "date", lambda kind, value: _read(kind, value, _DATE)),
    (
        "datetime",
        "time",
        "time",
        lambda kind, value: [*_read(kind, value, _TIME), _zone(kind, value)],
    ),
    ("datetime", "timedelta", "timedelta", lambda kind, value: _read(kind, value, _DELTA)),
)


def _decimal(text: str) -> Any:
    from decimal import Decimal

    if type(text) is not str or len(text) > LONGEST_DECIMAL:
        raise ValueError
    return Decimal(text)


def _fraction(pair: list[str]) -> Any:
    from fractions import Fraction

    above, below = pair
    return Fraction(int(above, 16), int(below, 16))


def _whole(numbers: list[Any], count: int) -> list[int]:
    if len(numbers) != count or any(type(number) is not int for number in numbers):
        raise ValueError
    return numbers


def _timedelta(numbers: list[Any]) -> Any:
    from datetime import timedelta

    return timedelta(*_whole(numbers, 3))


def _timezone(offset: list[Any] | None) -> Any:
    from datetime import timezone

    return None if offset is None else timezone(_timedelta(offset))


def _date(numbers: list[Any]) -> Any:
    from datetime import date

    return date(*_whole(numbers, 3))


def _time(parts: list[Any]) -> Any:
    from datetime import time

    *numbers, fold, zone = parts
    return time(*_whole([*numbers, fold], 5)[:4], _timezone(zone), fold=fold)


def _datetime(parts: list[Any]) -> Any:
    from datetime import datetime

    *numbers, fold, zone = parts
    return datetime(*_whole([*numbers, fold], 8)[:7], _timezone(zone), fold=fold)


# Tag -> value of the data behind it; any exception means that the data is malformed.
MAKERS: dict[str, Callable[[Any], Any]] = {
    "decimal": _decimal,
    "fraction": _fraction,
    "datetime": _datetime,
    "date": _date,
    "time": _time,
    "timedelta": _timedelta,
}
