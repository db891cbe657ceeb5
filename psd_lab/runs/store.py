"""Rows on disk: append-only files, one writer each, read as their union.

    <root>/rows/<model>-<fingerprint>/<task>/<run>.jsonl

A file holds what one run of one process decoded. It starts with the run's provenance and holds one
row per line, each flushed to the disk before the next is computed. Files are never changed
afterwards, so two runs at once, or a run and the orphan of a killed one, cannot hurt each other:
the first row of a (config hash, example id) is the one that counts. Two kinds of lines besides: a
row with a higher `judged` is the same completion judged again and replaces the verdict; a line with
`crash` says why an example has no row.
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
from psd_lab.runs.rows import FORMAT, PROVENANCE, Key, Row, decode, encode, key_of
from psd_lib.errors import UserError

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
        """Write rows and wait until the disk has them; every row gets this run's provenance id.

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

    def _open(self) -> bytes:
        paths.make_folder(self.folder)
        stamp, host = time.strftime("%Y%m%d-%H%M%S"), socket.gethostname()
        path = self.folder / f"{stamp}-{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        self.file = path.open("xb")
        return encode({PROVENANCE: self.provenance, "id": self.id, "format": FORMAT})

    def _close(self) -> None:
        if self.file is not None:
            with suppress(OSError):  # of a full disk, which `append` has reported
                self.file.close()
        self.file = None

    def __enter__(self) -> RunFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()


@dataclass
class RowSet:
    """What was read: rows by key, provenance blocks by id, keys whose runs disagree on the tokens,
    and the last crash of examples that have no row.
    """

    rows: dict[Key, Row] = field(default_factory=dict)
    provenance: dict[str, dict[str, Any]] = field(default_factory=dict)
    conflicts: set[Key] = field(default_factory=set)
    crashes: dict[Key, Row] = field(default_factory=dict)

    def add(self, line: dict[str, Any]) -> None:
        """Take in one line of a file; the first row of a key wins, but for a later verdict on the
        same tokens.
        """
        if PROVENANCE in line:
            self.provenance[line["id"]] = line[PROVENANCE]
            return
        key = key_of(line)
        if "crash" in line:
            if key not in self.rows:
                self.crashes[key] = line
            return
        self.crashes.pop(key, None)
        first = self.rows.setdefault(key, line)
        if first["token_ids_hash"] != line["token_ids_hash"]:
            self.conflicts.add(key)
        elif line.get("judged", 0) > first.get("judged", 0):
            self.rows[key] = line

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


def read(folder: Path) -> RowSet:
    """Read the union of a folder's files, oldest first.

    The unfinished last line of a killed run is ignored.

    Raises:
        UserError: Another line is not a row, or not the one that was written.
    """
    found = RowSet()
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as file:
            for number, line in _lines(file):
                if isinstance(line, ValueError):
                    raise UserError(
                        f"{path} line {number} is not a result row ({line}): delete that line to"
                        " have its example decoded again; all other lines stay valid."
                    )
                found.add(line)
    return found


def _lines(file: Iterable[bytes]) -> Iterator[tuple[int, dict[str, Any] | ValueError]]:
    """Yield number and content of each line, or what is wrong with it; not of a torn last one."""
    checksum = False
    for number, raw in enumerate(file, start=1):
        if not raw.endswith(b"\n"):
            return
        try:
            line = decode(raw, checksum)
        except ValueError as error:
            yield number, error
            continue
        checksum = checksum or line.get("format", 1) >= FORMAT
        yield number, line


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
        with gzip.open(path, "rb") as file:
            for number, line in _lines(file):
                if isinstance(line, ValueError):
                    raise ValueError(f"line {number}: {line}")
                found.add(line)
    except (OSError, EOFError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({str(error).rstrip('.')}): restore it from version control, or"
            " delete it and `psd reproduce` writes it anew."
        ) from None
    return found
