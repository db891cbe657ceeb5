"""Checks of the numbers that users pass as options: one sentence each, naming what is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any

from psd_lib.errors import UserError, unknown

LARGEST = 1 << 20  # no option of a decoder means anything beyond a million


def probability(name: str, value: Any) -> None:
    """Raise UserError unless `value` is a number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise UserError(f"{name} must be a number between 0 and 1, got {value!r}.")


def non_negative(name: str, value: Any) -> None:
    """Raise UserError unless `value` is a finite number of at least 0."""
    if (
        isinstance(value, bool)
        or not isinstance(value, Real)
        or not 0 <= float(value) < float("inf")
    ):
        raise UserError(f"{name} must be a number of at least 0, got {value!r}.")


def at_least(name: str, value: Any, least: int, most: int | None = LARGEST) -> None:
    """Raise UserError unless `value` is a whole number between `least` and `most` (None: any)."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least:
        raise UserError(f"{name} must be a whole number of at least {least}, got {value!r}.")
    if most is not None and value > most:
        raise UserError(f"{name} must be a whole number of at most {most}, got {value!r}.")


def switch(name: str, value: Any) -> None:
    """Raise UserError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise UserError(f"{name} must be True or False, got {value!r}.")


def known(kind: str, name: Any, names: Iterable[str]) -> None:
    """Raise UserError unless `name` is one of `names`."""
    names = list(names)
    if name not in names:
        raise unknown(kind, name, names)
