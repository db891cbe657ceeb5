"""Typed data from outside: dataclasses that pydantic checks and that refuse in one sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from reprlib import Repr
from typing import Annotated, Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from psd_lib.errors import UserError

Class = TypeVar("Class", bound=type)
Text = Annotated[str, Field(min_length=1, description="a text that is not empty")]
Count = Annotated[int, Field(strict=True, ge=1, description="a whole number of at least 1")]
Names = Annotated[
    tuple[Text, ...],
    Field(min_length=1, description="a list of names with at least one entry"),
]

_short = Repr()
_short.maxstring = _short.maxother = 60


@dataclass_transform(frozen_default=True)
def checked(kind: str, name: str = "name") -> Callable[[Class], Class]:
    """Make a class a frozen dataclass that checks its values however it is made.

    A field says what it accepts by its type and, for people, by the `description` of its
    `pydantic.Field`: then UserError reads "<field> of <kind> '<name>' must be <description>, not
    <value>."

    Args:
        kind: What an instance is called in messages, such as "tier".
        name: The field that names an instance in messages.
    """
    settings = ConfigDict(extra="forbid")

    def decorate(cls: Class) -> Class:
        made = dataclass(frozen=True, config=settings)(cls)
        fields = [field.name for field in dataclasses.fields(made)]
        check = made.__init__

        @wraps(check)
        def init(self: Any, *values: Any, **named: Any) -> None:
            given = dict(zip(fields, values, strict=False)) | named
            owner = f"{kind} {given.get(name)!r}"
            accept(given, fields, owner)
            try:
                check(self, **given)
            except ValidationError as error:
                raise UserError(sentence(error, made, owner)) from None

        made.__init__ = init
        return made

    return decorate


def accept(values: Any, keys: Iterable[str], owner: str) -> None:
    """Refuse what is not a mapping of some of `keys`.

    Raises:
        UserError: The value is not a mapping, or has another key.
    """
    keys = list(keys)
    if not isinstance(values, Mapping):
        raise UserError(f"{owner} must be a mapping of {', '.join(keys)}, not {short(values)}.")
    unknown = [key for key in values if key not in keys]
    if unknown:
        raise UserError(f"{owner} has unknown key {unknown[0]!r}: it takes {', '.join(keys)}.")


def short(value: Any) -> str:
    """Return the `repr` of a value, shortened where it is long."""
    return _short.repr(value)


def sentence(error: ValidationError, cls: type, owner: str) -> str:
    """Turn the first finding of pydantic into a sentence about a field of `cls`."""
    found = error.errors(include_url=False)[0]
    cause = found.get("ctx", {}).get("error")
    if isinstance(cause, UserError):
        return str(cause)
    field, *inner = found["loc"]
    missing = found["type"] in ("missing", "missing_argument")
    if missing and not inner:
        return f"{owner} has no key {field!r}."
    description = cls.__pydantic_fields__[field].description or found["msg"]
    rule, value = f"{field} of {owner} must be {description}", short(found["input"])
    if not inner:
        return f"{rule}, not {value}."
    *outer, last = [f"entry {one + 1}" if isinstance(one, int) else str(one) for one in inner]
    if missing:
        return f"{rule}, but {' of '.join(reversed(outer))} has no {last!r}."
    place = " of ".join(reversed([*outer, last])).removeprefix("[key] of ")
    return f"{rule}, but {place} is {value}."
