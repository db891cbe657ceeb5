"""How strategies and cache plans describe themselves: names, options, notes, plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, ClassVar, Self

from psd_lib.errors import UserError


def option(meaning: str, default: Any, **more: Any) -> Any:
    """Declare a field that is an option, with one phrase on what it means."""
    return field(default=default, metadata={"meaning": meaning}, **more)


class Described:
    """Anything that a configuration names: a frozen dataclass whose fields are its options.

    `name` identifies it in configurations and rows; `title` is what people read, and it is written
    here and nowhere else. `source` names paper or code, `note` is a sentence that tables must print
    beside the label, and `reconstructed` says that the rule is not published and this is our
    reading of it.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    source: ClassVar[str] = ""
    note: ClassVar[str] = ""
    reconstructed: ClassVar[bool] = False

    def describe(self) -> dict[str, Any]:
        """Return name and options as plain data: what a configuration stores of it."""
        return {"name": self.name, **{f.name: getattr(self, f.name) for f in options_of(self)}}

    @classmethod
    def from_description(cls, options: Mapping[str, Any]) -> Self:
        """Return what `describe` described, given its options without the name.

        Raises:
            UserError: an option that it does not have, or an impossible value.
        """
        accepted = [f.name for f in options_of(cls)]
        unknown = [key for key in options if key not in accepted]
        if unknown:
            raise UserError(
                f"{cls.name!r} has no option {', '.join(map(repr, unknown))}; "
                f"it accepts: {', '.join(accepted) or 'none'}."
            )
        return cls(**options)

    @property
    def label(self) -> str:
        """Return a short text for tables and legends: the title and the values of the options."""
        title = f"{self.title or self.name}{' (reconstructed)' if self.reconstructed else ''}"
        values = [_short(getattr(self, f.name)) for f in options_of(self)]
        return f"{title} {'/'.join(values)}".rstrip()


def options_of(described: Any) -> tuple[Any, ...]:
    """Return the dataclass fields; an object at work on a batch need not have any."""
    try:
        return fields(described)
    except TypeError:
        return ()


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
