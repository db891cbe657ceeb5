"""The one exception a user is meant to read."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class UserError(ValueError):
    """Bad input: one clear sentence that says what was wrong and what would be accepted."""


def unknown(kind: str, name: Any, names: Iterable[str]) -> UserError:
    """Return the error for a `kind` of thing that is called by a name that is none of `names`."""
    names = list(names)
    meant = did_you_mean(name, names)
    return UserError(f"unknown {kind} {name!r}{meant}; choose one of: {', '.join(names)}.")


def did_you_mean(name: Any, names: Iterable[str]) -> str:
    """Return " (did you mean 'spiffy'?)" for a misspelt name, "" where no known name is close.

    It goes behind the name in a sentence that lists what would be accepted.
    """
    close = get_close_matches(str(name), list(names), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
