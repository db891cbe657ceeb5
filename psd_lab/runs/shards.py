"""The one unit of work: a slice of a work item, decoded and scored by whoever gets to it first."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from psd_lab import paths
from psd_lab.runs.runner import BATCH_SIZE, BackoffState, Batch, WorkItem, verdict_rows
from psd_lab.runs.store import Reader, RunFile, folder_of

if TYPE_CHECKING:
    from psd_lab.tasks import Example

SIZE = 64  # examples of a shard: a few batches, so that many workers share one decoder's items
DEATHS = 3  # of the process that decodes an example, until the example is left alone
KILLED = f"the process that decoded it was killed, {DEATHS} times (out of memory?)"


class Worker:
    """What a process keeps from one shard to the next: open files, what it read, and the batch size
    that memory allows. Use it as a context manager.

    Args:
        results: Where rows are stored; data/results unless given.
        score: Also score what is decoded.
        retry: Also decode the examples that killed their process `DEATHS` times.
    """

    def __init__(self, results: Path | None = None, score: bool = True, retry: bool = False):
        self.results, self.score, self.retry = results, score, retry
        self.state = BackoffState()
        self._readers: dict[Path, Reader] = {}
        self._files: dict[Path, RunFile] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def reader(self, item: WorkItem) -> Reader:
        """Return what reads the rows of a work item's model and task."""
        model = item.model
        folder = folder_of(self.results, model.name, model.fingerprint, item.task.name)
        return self._readers.setdefault(folder, Reader(folder))

    def left(self, item: WorkItem) -> bool:
        """Return whether there is something to do for a work item."""
        reader = self.reader(item)
        found = reader.refresh()
        unrecorded = [
            one
            for one in self._deadly(item, reader)
            if (item.hash, one.id) not in reader.found.crashes
        ]
        scorable = self.score and item.outdated(found)
        return bool(self._wanted(item, reader) or unrecorded or scorable)

    def run(self, item: WorkItem, wait: bool = True) -> bool:
        """Decode and score what a work item lacks, and return whether nothing is left.

        Args:
            wait: Where another process is at this very work, wait for it to end; else leave it.
        """
        if not self.left(item):
            return True
        with _claim(self.results, item.shard, wait) as free:
            if not free:
                return False
            reader = self.reader(item)
            reader.refresh()
            for batch in self.batches(item, reader):
                batch.run(self._file(reader.folder), self.state)
            self._record(item, reader)
            rows = item.outdated(reader.refresh()) if self.score else []
            if rows:
                self._file(reader.folder).append(verdict_rows(rows, item.task, item.examples))
        return True

    def batches(self, item: WorkItem, reader: Reader) -> list[Batch]:
        """Return the batches to decode; what was being decoded when a process died stands alone."""
        missing = self._wanted(item, reader)
        deaths = {one.id for one in missing if reader.deaths((item.hash, one.id))}
        rest = [one for one in missing if one.id not in deaths]
        alone = [one for one in missing if one.id in deaths]
        return [*item.batches(rest, BATCH_SIZE), *item.batches(alone, 1)]

    def _wanted(self, item: WorkItem, reader: Reader) -> Sequence[Example]:
        left_alone = [] if self.retry else self._deadly(item, reader)
        return [one for one in item.missing(reader.found) if one not in left_alone]

    def _deadly(self, item: WorkItem, reader: Reader) -> list[Example]:
        missing = item.missing(reader.found)
        return [one for one in missing if reader.deaths((item.hash, one.id)) >= DEATHS]

    def _record(self, item: WorkItem, reader: Reader) -> None:
        """Write why examples that kill their process have no row, unless it is written."""
        rows = [
            {**item.describe(), "example_id": one.id, "crash": KILLED}
            for one in self._deadly(item, reader)
            if reader.found.crashes.get((item.hash, one.id), {}).get("crash") != KILLED
        ]
        if rows:
            self._file(reader.folder).append(rows)

    def _file(self, folder: Path) -> RunFile:
        from psd_lab import provenance

        if folder not in self._files:
            file = RunFile(folder, provenance.collect())
            self._files[folder] = self._stack.enter_context(file)
        return self._files[folder]


@contextmanager
def _claim(results: Path | None, shard: str, wait: bool) -> Iterator[bool]:
    """Keep a shard to this process while it works on it, as far as the file system can do that.

    Only to save work: rows are safe without it. The lock ends with the process.
    """
    path = Path(results or paths.RESULTS) / "claims" / f"{shard}.lock"
    with ExitStack() as stack:
        file = None
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("w", encoding="utf-8"))
        if file is None:
            yield True
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        except OSError:  # no locks on this file system
            pass
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)
