"""Progress that suits where it is shown: a bar in a terminal, a few lines in a log, nothing in a
notebook.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
LINES = 10
SILENCE = 300  # seconds after which a log gets a line in any case
FILE_VARIABLE = "PSD_PROGRESS_FILE"


def progress(iterable: Iterable[Item], total: int | None = None, label: str = "") -> Iterator[Item]:
    """Yield the items of `iterable` and show how far it is.

    A terminal gets a tqdm bar on stderr; a log gets about ten lines, or one every five minutes
    where that is more, with the rate and the time left at that rate; TQDM_DISABLE=1 silences both.
    If PSD_PROGRESS_FILE names a file, lines go there instead, whatever else is set: so a notebook's
    kernel reports to the process that runs it without leaving a trace in the notebook.
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


def _lines(
    iterable: Iterable[Item], total: int | None, label: str, file: str | None
) -> Iterator[Item]:
    start = last = time.monotonic()
    stride = max(1, -(-total // LINES)) if total else 0
    next_line = stride or 1
    for done, item in enumerate(iterable, start=1):
        yield item
        now = time.monotonic()
        if done < next_line and done != total and now - last < SILENCE:
            continue
        # Without a known total the gaps double, so an endless stream still writes few lines.
        next_line, last = done + (stride or done), now
        line = f"{label or 'progress'}: {_said(done, total, now - start)}"
        if file:
            with open(file, "a", encoding="utf-8") as log:
                log.write(line + "\n")
        else:
            print(line, file=sys.stderr, flush=True)


def _said(done: int, total: int | None, seconds: float) -> str:
    """What a line says, e.g. `3/10, 6 s, 0.5 a second, 14 s left`."""
    rate = done / max(seconds, 1e-9)
    pace = f"{rate:.3g} a second" if rate >= 1 else f"{duration(1 / rate)} each"
    parts = [f"{done}/{total}" if total else f"{done}", duration(seconds), pace]
    return ", ".join(
        [*parts, *([f"{duration((total - done) / rate)} left"] if total and done < total else [])]
    )


def duration(seconds: float) -> str:
    """Seconds as people say them: `0.4 s`, `35 s`, `12 min`, `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def printer() -> Callable[[str], None]:
    """What shows the lines of other processes: below a bar, where there is one, or not at all where
    that is asked for.
    """
    return (
        (lambda line: None)
        if silenced()
        else (lambda line: tqdm.write(f"  {line}", file=sys.stderr))
    )


@contextmanager
def reported(show: Callable[[str], None] | None = None) -> Iterator[None]:
    """Let processes started inside report to a file, whose lines `show` gets as they come; unless
    given it prints below the bar.

    In a process that itself reports to such a file, they report to the same one unless `show` is
    given.
    """
    if show is None and os.environ.get(FILE_VARIABLE):
        yield
        return
    show = show or printer()
    with tempfile.TemporaryDirectory() as folder:
        file, done = Path(folder, "progress"), threading.Event()
        file.touch()
        before = {name: os.environ.get(name) for name in (FILE_VARIABLE, "TQDM_DISABLE")}
        os.environ |= {FILE_VARIABLE: str(file), "TQDM_DISABLE": "1"}
        tail = threading.Thread(target=_tail, args=(file, done, show), daemon=True)
        tail.start()
        try:
            yield
        finally:
            done.set()
            tail.join()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _tail(file: Path, done: threading.Event, show: Callable[[str], None]) -> None:
    with file.open(encoding="utf-8") as lines:
        while True:
            last = done.wait(0.5)
            for line in lines:
                show(line.rstrip("\n"))
            if last:
                return
