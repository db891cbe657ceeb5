"""Progress that suits where it is shown: a bar in a terminal, a few lines in a log, nothing in a notebook."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
LINES = 10
FILE_VARIABLE = "PSD_PROGRESS_FILE"


def progress(iterable: Iterable[Item], total: int | None = None, label: str = "") -> Iterator[Item]:
    """Yield the items of `iterable` and show how far it is.

    A terminal gets a tqdm bar on stderr; a log gets at most about ten lines; TQDM_DISABLE=1 silences both.
    If PSD_PROGRESS_FILE names a file, lines go there instead, whatever else is set: so a notebook's kernel reports
    to the process that runs it without leaving a trace in the notebook.
    """
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    file = os.environ.get(FILE_VARIABLE)
    if file:
        yield from _lines(iterable, total, label, file)
    elif silenced():
        yield from iterable
    elif sys.stderr.isatty():
        yield from tqdm(iterable, total=total, desc=label or None, dynamic_ncols=True)
    else:
        yield from _lines(iterable, total, label, None)


def silenced() -> bool:
    """Whether TQDM_DISABLE asks for no progress."""
    return os.environ.get("TQDM_DISABLE", "").lower() not in ("", "0", "false")


def _lines(iterable: Iterable[Item], total: int | None, label: str, file: str | None) -> Iterator[Item]:
    start = time.monotonic()
    stride = max(1, -(-total // LINES)) if total else 0
    next_line = stride or 1
    for done, item in enumerate(iterable, start=1):
        yield item
        if done < next_line and done != total:
            continue
        # Without a known total the gaps double, so an endless stream still writes few lines.
        next_line = done + (stride or done)
        share = f"{done}/{total}" if total else f"{done}"
        line = f"{label or 'progress'}: {share}, {time.monotonic() - start:.0f} s"
        if file:
            with open(file, "a", encoding="utf-8") as log:
                log.write(line + "\n")
        else:
            print(line, file=sys.stderr, flush=True)
