"""What every metric takes: predictions and references as texts, and options that are named.

`evaluate` checks that the texts are texts, and as many predictions as references.
"""

from __future__ import annotations

from collections.abc import Iterable

import datasets

from psd_lib.errors import UserError

TEXTS = datasets.Features(
    {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
)


def choose(what: str, name: str, known: Iterable[str]) -> str:
    """Return `name` if it is one of `known`.

    Raises:
        UserError: It is not; `what` says what was asked for.
    """
    names = list(known)
    if name not in names:
        raise UserError(f"Unknown {what} {name!r}: use one of {', '.join(names)}.")
    return name
