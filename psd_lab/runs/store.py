"""Rows on disk: append-only files, one writer each, read as their union.

    <root>/rows/<model>-<fingerprint>/<task>/<run>.jsonl

A file holds what one run of one process decoded and scored. It starts with the run's provenance,
and each batch is flushed to the disk before the next is computed. Files are never changed
afterwards, so two runs at once, or a run and the orphan of a killed one, cannot hurt each other:
the first completion of a (config hash, example id) is the one that counts, with the verdict that
was given last. `psd_lab.runs.rows` describes the lines.
"""

from __future__ import annotations

import gzip
import os
import socket
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from psd_lab import paths
from psd_lab.files import refusal, write_atomically
from psd_lab.runs.config import digest
from psd_lab.runs.rows import FORMAT, PROVENANCE, Key, Row, decode, encode, judged, key_of
from psd_lib.errors import UserError

PUBLISHED = "rows.jsonl.gz"  # the rows of a tier that are committed
SILENT = 600  # seconds without a row after which a run is taken to be over
# Stands for a run whose line was deleted, as the message about a damaged line advises.
LOST = {
    "commit": "unknown",
    "dirty": False,
    "gpu": None,
    "cpu": "an unknown machine",
    "threads": "an unknown number of",
}


class RunFile:
    """The one file that this process appends to, created on the first row. Use it as a context
    manager.
    """

    def __init__(self, folder: Path, provenance: Mapping[str, Any]):
        self.folder, self.provenance, self.id = folder, dict(provenance), digest(provenance)
        self.file: BinaryIO | None = None

    def append(self, rows: Iterable[Row]) -> None:
        """Write lines and wait until the disk has them; each gets this run's provenance id.

        Raises:
            UserError: The disk is full or cannot be written: earlier rows are kept.
        """
        lines = b"".join(encode({**row, "provenance": self.id}) for row in rows)
        try:
            if self.file is None:
                lines = self._open() + lines
            self.file.write(lines)
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            self._close()  # the line may be torn: what comes after it needs a file of its own
            raise refusal(self.folder, error) from None

    def begin(self, config_hash: str, ids: list[str]) -> None:
        """Write what is about to be decoded: if this process dies of it, the next one knows."""
        self.append([{"config_hash": config_hash, "begin": ids}])

    def _open(self) -> bytes:
        paths.make_folder(self.folder)
        stamp, host = time.strftime("%Y%m%d-%H%M%S"), socket.gethostname()
        path = self.folder / f"{stamp}-{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        self.file = path.open("xb")
        header = {"id": self.id, "format": FORMAT, "time": int(time.time())}
        return encode({PROVENANCE: self.provenance, **header})

    def _close(self) -> None:
        if self.file is not None:
            with suppress(OSError):  # of a full disk, which `append` has reported
                self.file.close()
        self.file = None

    def __enter__(self) -> RunFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            with suppress(UserError):  # on a full disk the end is not written, as after a kill
                self.append([{"closed": True}])
        self._close()


@dataclass
class RowSet:
    """What was read: rows by key, completions without a verdict, provenance blocks by id, keys
    whose runs disagree on the tokens, and the last crash of examples that have no completion.
    """

    rows: dict[Key, Row] = field(default_factory=dict)
    unscored: dict[Key, Row] = field(default_factory=dict)
    provenance: dict[str, dict[str, Any]] = field(default_factory=dict)
    conflicts: set[Key] = field(default_factory=set)
    crashes: dict[Key, Row] = field(default_factory=dict)
    early: dict[Key, Row] = field(default_factory=dict)  # verdicts read before their completions

    def completion(self, key: Key) -> Row | None:
        """Return the row of a key, or its completion where it has no verdict yet."""
        return self.rows.get(key) or self.unscored.get(key)

    def add(self, line: dict[str, Any]) -> None:
        """Take in one line of a file; the first completion of a key wins, and the last verdict on
        the same tokens.
        """
        if PROVENANCE in line:
            self.provenance[line["id"]] = line[PROVENANCE]
        elif "example_id" not in line:
            return
        elif "crash" in line:
            if self.completion(key_of(line)) is None:
                self.crashes[key_of(line)] = line
        else:
            if "completion" in line:
                self._add_completion(key_of(line), line)
            if "correct" in line:
                self._add_verdict(key_of(line), line)

    def _add_completion(self, key: Key, line: Row) -> None:
        self.crashes.pop(key, None)
        first = self.completion(key)
        if first is None:
            self.unscored[key] = line
            if key in self.early:
                self._add_verdict(key, self.early.pop(key))
        elif first["token_ids_hash"] != line["token_ids_hash"]:
            self.conflicts.add(key)

    def _add_verdict(self, key: Key, line: Row) -> None:
        row = self.completion(key)
        if row is None:
            known = self.early.get(key)
            if known is None or line.get("judged", 0) > known.get("judged", 0):
                self.early[key] = line
        elif row["token_ids_hash"] == line["token_ids_hash"] and (
            key in self.unscored or line.get("judged", 0) > row.get("judged", 0)
        ):
            self.unscored.pop(key, None)
            self.rows[key] = judged(row, line)

    def take(self, other: RowSet, keys: Iterable[Key]) -> None:
        """Add what another set has of these keys, in their order."""
        wanted = dict.fromkeys(keys)
        self.rows |= {key: other.rows[key] for key in wanted if key in other.rows}
        self.crashes |= {key: other.crashes[key] for key in wanted if key in other.crashes}
        self.conflicts |= other.conflicts & wanted.keys()
        used = {other.rows[key]["provenance"] for key in wanted if key in other.rows}
        self.provenance |= {name: other.provenance.get(name, LOST) for name in sorted(used)}


def folder_of(results: Path | None, model: str, fingerprint: str, task: str) -> Path:
    """Return where the rows of one model on one task lie, under `results` or else data/results."""
    return Path(results or paths.RESULTS) / "rows" / f"{model}-{fingerprint}" / task


class Reader:
    """Reads the union of a folder's files, and later only what was added to them."""

    def __init__(self, folder: Path):
        self.folder, self.found = folder, RowSet()
        self._files: dict[Path, _Place] = {}

    def refresh(self) -> RowSet:
        """Read what is new, oldest file first, and return all rows so far.

        The unfinished last line of a killed run is ignored.

        Raises:
            UserError: Another line is not a row, or not the one that was written.
        """
        for path in sorted(self.folder.glob("*.jsonl")):
            place = self._files.setdefault(path, _Place())
            stat = path.stat()
            if stat.st_size == place.offset:
                continue
            place.changed = stat.st_mtime
            place.started = place.started or stat.st_mtime
            with path.open("rb") as file:
                file.seek(place.offset)
                for line in place.lines(file):
                    if isinstance(line, ValueError):
                        raise UserError(
                            f"{path} line {place.number} is not a result row ({line}): delete that"
                            " line to have its example decoded again; all other lines stay valid."
                        )
                    place.follow(line)
                    self.found.add(line)
        return self.found

    def rate(self, now: float) -> float:
        """Return the completions per second of the runs that are at work, at the time `now`."""
        return sum(
            place.completions / max(1.0, now - place.started)
            for place in self._files.values()
            if not place.closed and now - place.changed < SILENT
        )

    def deaths(self, key: Key) -> int:
        """Return how many runs ended without a word while they decoded an example."""
        if self.found.completion(key) is not None:
            return 0
        return sum(key in place.begun for place in self._files.values())


@dataclass
class _Place:
    """How far a file was read; `begun` is what its run was decoding there."""

    offset: int = 0
    number: int = 0
    checksum: bool = False
    begun: set[Key] = field(default_factory=set)
    started: float = 0.0
    changed: float = 0.0
    completions: int = 0
    closed: bool = False

    def lines(self, file: Iterable[bytes]) -> Iterator[dict[str, Any] | ValueError]:
        """Yield the content of each line, or what is wrong with it; not of a torn last one."""
        for raw in file:
            if not raw.endswith(b"\n"):
                return
            self.number += 1
            try:
                line = decode(raw, self.checksum)
            except ValueError as error:
                yield error
                continue
            self.offset += len(raw)
            self.checksum = self.checksum or line.get("format", 1) >= FORMAT
            yield line

    def follow(self, line: dict[str, Any]) -> None:
        """Note what the run of the file is decoding after this line."""
        if "begin" in line:
            self.begun = {(line["config_hash"], one) for one in line["begin"]}
        elif "closed" in line:
            self.begun, self.closed = set(), True
        elif "time" in line:
            self.started = line["time"]
        elif "completion" in line or "crash" in line:
            self.begun.discard(key_of(line))
            self.completions += "completion" in line


def read(folder: Path) -> RowSet:
    """Read the union of a folder's files, see `Reader.refresh`."""
    return Reader(folder).refresh()


def publish(path: Path, rows: Iterable[Row], provenance: Mapping[str, Any]) -> None:
    """Write rows and the provenance they name as one gzipped file that is the same bytes for the
    same rows.

    The file replaces its predecessor in one step: an interrupted export leaves the old one. Its
    lines need no checksums, because gzip has one for the whole.
    """
    rows = sorted(rows, key=lambda row: (row["model"], row["task"], row["label"], *key_of(row)))
    used = sorted({row["provenance"] for row in rows})
    lines = [{PROVENANCE: provenance[one], "id": one} for one in used] + rows
    text = b"".join(encode(line, checksum=False) for line in lines)
    write_atomically(path, gzip.compress(text, mtime=0))


def read_published(path: Path) -> RowSet:
    """Read a file that `publish` wrote.

    Raises:
        UserError: The file is missing or damaged.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist: `psd reproduce` writes it.")
    found = RowSet()
    try:
        place = _Place()
        with gzip.open(path, "rb") as file:
            for line in place.lines(file):
                if isinstance(line, ValueError):
                    raise ValueError(f"line {place.number}: {line}")
                found.add(line)
    except (OSError, EOFError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({str(error).rstrip('.')}): restore it from version control, or"
            " delete it and `psd reproduce` writes it anew."
        ) from None
    return found
