"""How far a run is, and rows of other machines brought together."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from psd_lab import paths
from psd_lab.files import write_atomically
from psd_lab.progress import duration
from psd_lab.runs.plans import RunPlan, Shard
from psd_lab.runs.shards import DEATHS
from psd_lab.runs.store import Reader
from psd_lib.errors import UserError


@dataclass(frozen=True)
class Cell:
    """One model with one decoder on one task: how many items are planned, have rows, were decoded
    but not scored, could not be decoded, and killed their process too often to be tried again.
    """

    model: str
    task: str
    label: str
    planned: int
    rows: int
    unscored: int
    crashed: int
    deadly: int

    @property
    def missing(self) -> int:
        """How many items have no row yet."""
        return self.planned - self.rows


@dataclass(frozen=True)
class Status:
    """The cells of a run, the completions per second of the processes that are at it now, and the
    last error that an item raised.
    """

    cells: tuple[Cell, ...]
    rate: float
    last_error: str | None

    @property
    def missing(self) -> int:
        """How many rows the whole run lacks."""
        return sum(cell.missing for cell in self.cells)

    def summary(self) -> str:
        """Return the state in one sentence; it gives the coverage as long as rows are missing."""
        planned = sum(cell.planned for cell in self.cells)
        if not self.missing:
            return f"complete: {planned} of {planned} rows"
        parts = [f"incomplete: {planned - self.missing} of {planned} rows"]
        for name, text in (
            ("unscored", "decoded and not scored"),
            ("crashed", "could not be decoded"),
            ("deadly", "killed their process and are left alone"),
        ):
            if count := sum(getattr(cell, name) for cell in self.cells):
                parts.append(f"{count} {text}")
        if self.rate:
            left = duration(self.missing / self.rate)
            parts.append(f"{self.rate:.3g} rows a second, about {left} left")
        else:
            parts.append("no process is at it")
        return ", ".join(parts) + (f"; last error: {self.last_error}" if self.last_error else "")


def status(plan: RunPlan, results: Path | None = None) -> Status:
    """Return how far a run is. It needs neither weights nor data, only the rows.

    Raises:
        UserError: A row file is damaged.
    """
    groups: dict[tuple[str, str, str], list[Shard]] = {}
    for shard in plan.shards:
        groups.setdefault((shard.model, shard.task, shard.label), []).append(shard)
    folders = dict.fromkeys(shard.folder(results) for shard in plan.shards)
    readers = {folder: Reader(folder) for folder in folders}
    for reader in readers.values():
        reader.refresh()
    errors = [
        crash["crash"] for reader in readers.values() for crash in reader.found.crashes.values()
    ]
    return Status(
        tuple(_cell(*name, shards, results, readers) for name, shards in groups.items()),
        sum(reader.rate(time.time()) for reader in readers.values()),
        errors[-1] if errors else None,
    )


def _cell(
    model: str,
    task: str,
    label: str,
    shards: Iterable[Shard],
    results: Path | None,
    readers: dict[Path, Reader],
) -> Cell:
    keys = [(readers[shard.folder(results)], key) for shard in shards for key in shard.keys]
    deadly = {key for reader, key in keys if reader.deaths(key) >= DEATHS}
    return Cell(
        model,
        task,
        label,
        planned=len(keys),
        rows=sum(key in reader.found.rows for reader, key in keys),
        unscored=sum(key in reader.found.unscored for reader, key in keys),
        crashed=sum(key in reader.found.crashes for reader, key in keys if key not in deadly),
        deadly=len(deadly),
    )


def merge(source: Path, results: Path | None = None) -> str:
    """Bring the row files of another results folder into this one, and return what was done.

    Nothing is replaced: every run has a file of its own name. A file that is there already is taken
    over where it was copied before its run had ended.

    Raises:
        UserError: `source` has no rows, a file is damaged, or two files of one name differ.
    """
    target = Path(results or paths.RESULTS)
    files = sorted(source.glob("rows/*/*/*.jsonl"))
    if not files:
        raise UserError(
            f"{source} has no rows: give a results folder, with rows/<model>/<task>/ in it."
        )
    for folder in dict.fromkeys(path.parent for path in files):
        Reader(folder).refresh()
    taken = 0
    for path in files:
        place, content = target / path.relative_to(source), path.read_bytes()
        known = place.read_bytes() if place.is_file() else b""
        if known.startswith(content) and place.is_file():
            continue
        if not content.startswith(known):
            raise UserError(
                f"{place} differs from {path}: one of them was changed by hand; restore it first."
            )
        write_atomically(place, content)
        taken += 1
    return f"{taken} of {len(files)} row files were new and are in {target / 'rows'}"
