"""Progress that suits where it is shown: a bar in a terminal, a few lines in a log, nothing in a
notebook.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

Item = TypeVar("Item")
LINES = 10
SILENCE = 300  # seconds after which a log gets a line in any case
FILE_VARIABLE = "PSD_PROGRESS_FILE"
# Files that this process reads, so that only those it starts write to them; and whether it was
# silenced before they were.
_READ: dict[str, bool] = {}
_LIVE: list["Progress"] = []  # the bars that are shown now, the outermost first


def progress(iterable: Iterable[Item], total: int | None = None, label: str = "") -> Iterator[Item]:
    """Yield the items of `iterable` and show how far it is.

    A terminal gets a bar on stderr; a log gets about ten lines, or one every five minutes where
    that is more. Both show the rate and the time left at that rate, and TQDM_DISABLE=1 silences
    both. If PSD_PROGRESS_FILE names a file, lines go there instead, whatever else is set: so a
    notebook's kernel reports to the process that runs it without leaving a trace in the notebook.
    """
    if total is None and hasattr(iterable, "__len__"):
        total = len(iterable)
    file = os.environ.get(FILE_VARIABLE)
    if file and file not in _READ:
        yield from _lines(iterable, total, label, file)
    elif silenced():
        yield from iterable
    elif sys.stderr.isatty():
        yield from _bar(iterable, total, label)
    else:
        yield from _lines(iterable, total, label, None)


def silenced() -> bool:
    """Whether TQDM_DISABLE asked this process for no progress."""
    if (file := os.environ.get(FILE_VARIABLE)) in _READ:
        return _READ[file]
    return os.environ.get("TQDM_DISABLE", "").lower() not in ("", "0", "false")


def _bar(iterable: Iterable[Item], total: int | None, label: str) -> Iterator[Item]:
    """Show a bar; one inside another stands below it while it runs."""
    outer = _LIVE[-1] if _LIVE else None
    with nullcontext(outer) if outer else _bars() as bars:
        _LIVE.append(bars)
        task = bars.add_task(label or "progress", total=total)
        try:
            for item in iterable:
                yield item
                bars.advance(task)
        finally:
            _LIVE.pop()
            if outer:
                bars.remove_task(task)


def _bars() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.table import Column

    class Figures(ProgressColumn):
        """What a line in a log says, too."""

        def render(self, task: Task) -> str:
            whole = int(task.total) if task.total else None
            return _figures(int(task.completed), whole, task.elapsed or 0.0)

    one_line = Column(no_wrap=True)
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=one_line),
        BarColumn(20),
        Figures(table_column=one_line),
        console=Console(stderr=True),
        # What is printed meanwhile appears above the bar, but data in a pipe stays in the pipe.
        redirect_stdout=sys.stdout.isatty(),
    )


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
        line = f"{label or 'progress'}: {_figures(done, total, now - start)}"
        if file:
            with open(file, "a", encoding="utf-8") as log:
                log.write(line + "\n")
        else:
            print(line, file=sys.stderr, flush=True)


def _figures(done: int, total: int | None, seconds: float) -> str:
    """Return how far it is, such as `3/10, 6 s, 2 s each, 14 s left`."""
    parts = [f"{done}/{total}" if total else f"{done}", duration(seconds)]
    if done:
        rate = done / max(seconds, 1e-9)
        parts.append(f"{rate:.3g} a second" if rate >= 1 else f"{duration(1 / rate)} each")
        if total and done < total:
            parts.append(f"{duration((total - done) / rate)} left")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return seconds as people say them: `0.4 s`, `35 s`, `12 min`, `3.4 h`."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


@contextmanager
def reported(show: Callable[[str], None] | None = None) -> Iterator[None]:
    """Let processes started inside report to a file, whose lines `show` gets as they come.

    Without `show` they are printed above the bar, or not at all where TQDM_DISABLE asks for that;
    in a process that itself reports to such a file, they go to the same one.
    """
    outer = os.environ.get(FILE_VARIABLE)
    if show is None and outer and outer not in _READ:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        file, done = Path(folder, "progress"), threading.Event()
        file.touch()
        _READ[str(file)] = silenced()
        before = {name: os.environ.get(name) for name in (FILE_VARIABLE, "TQDM_DISABLE")}
        os.environ |= {FILE_VARIABLE: str(file), "TQDM_DISABLE": "1"}
        tail = threading.Thread(target=_tail, args=(file, done, show or _print), daemon=True)
        tail.start()
        try:
            yield
        finally:
            done.set()
            tail.join()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
            del _READ[str(file)]


def _print(line: str) -> None:
    if not silenced():
        print(f"  {line}", file=sys.stderr)


def _tail(file: Path, done: threading.Event, show: Callable[[str], None]) -> None:
    with file.open(encoding="utf-8") as lines:
        while True:
            last = done.wait(0.5)
            for line in lines:
                show(line.rstrip("\n"))
            if last:
                return
