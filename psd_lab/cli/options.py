"""What several commands take: models, tasks, NAME=VALUE pairs, and how they are completed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from psd_lib.errors import UserError, did_you_mean, unknown


def embedded_models() -> list[str]:
    """List the checkpoints under data/models."""
    from psd_lab import paths

    return [path.parent.name for path in paths.files(paths.MODELS, "*/config.json")]


def task_names() -> list[str]:
    """List all tasks."""
    from psd_lab import tasks

    return tasks.names()


def decoder_names() -> list[str]:
    """List all decoders."""
    from psd_lib import DECODERS

    return list(DECODERS)


Model = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Embedded model, folder or Hub repository.",
        autocompletion=embedded_models,
    ),
]


def known(kind: str, name: str, names: Iterable[str]) -> None:
    """Raise UserError unless `name` is one of `names`; as `psd_lib.core.checks`, without torch."""
    names = list(names)
    if name not in names:
        raise unknown(kind, name, names)


@contextmanager
def checkpoint(name: str) -> Iterator[None]:
    """Name the embedded model that may have been meant where loading `name` is refused inside."""
    try:
        yield
    except UserError as error:
        given, meant = repr(name), did_you_mean(name, embedded_models())
        raise UserError(str(error).replace(given, f"{given}{meant}", 1)) from None


def names(option: str, text: str | None) -> tuple[str, ...] | None:
    """Return the entries of a comma-separated option; None where it is not given.

    Raises:
        UserError: an entry is empty or stands twice.
    """
    if text is None:
        return None
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise UserError(f"{option} {text!r} has an empty entry: separate names by single commas.")
    twice = [name for name in found if found.count(name) > 1]
    if twice:
        raise UserError(f"{option} names {twice[0]!r} more than once.")
    return found


def pairs(option: str, given: Sequence[str] | None) -> dict[str, Any]:
    """Read NAME=VALUE pairs; numbers, booleans, lists and null get their own types.

    Raises:
        UserError: a pair has no name or no value, its value is not readable, or a name is repeated.
    """
    from psd_lab.yaml_reader import read_value

    found: dict[str, Any] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"{pair!r} is not an option: write {option} NAME=VALUE.")
        if name in found:
            raise UserError(f"{option} {name} is given more than once.")
        found[name] = read_value(name, value)
    return found
