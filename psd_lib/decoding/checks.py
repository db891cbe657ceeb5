"""Checks of the numbers that users pass to plugs: one sentence each, naming what would be accepted."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real

from psd_lib.errors import UserError


def probability(name: str, value) -> None:
    """Raise UserError unless `value` is a number in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        raise UserError(f"{name} must be a number between 0 and 1, got {value!r}.")


def at_least(name: str, value, least: int) -> None:
    """Raise UserError unless `value` is a whole number >= `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{name} must be a whole number of at least {least}, got {value!r}.")


def known(kind: str, name, names: Iterable[str]) -> None:
    """Raise UserError unless `name` is one of `names`."""
    names = list(names)
    if name not in names:
        raise UserError(f"unknown {kind} {name!r}; choose one of: {', '.join(names)}.")
