"""Rows on disk: append-only files, one writer each, read as their union.

    <root>/rows/<model>-<fingerprint>/<task>/<attempt>.jsonl

An attempt is one run of one process. Its file starts with the run's provenance and holds one row
per line, each flushed to the disk before the next is computed. Files are never changed afterwards,
so two runs at once, or a run and the orphan of a killed one, cannot hurt each other: the first row
of a (config hash, example id) is the one that counts. Two kinds of lines besides: a row with a
higher `judged` is the same completion judged again and replaces the verdict; a line with `crash`
says why an example has no row.
"""

from __future__ import annotations

import errno
import gzip
import json
import os
import socket
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psd_lab import paths
from psd_lab.runs.config import digest
from psd_lib.errors import UserError

Row = dict[str, Any]
Key = tuple[str, str]
PROVENANCE = "provenance_block"
KINDS = {"token_ids_hash", "crash"}


def key_of(row: Row) -> Key:
    """Name a row: its config hash and example id."""
    return row["config_hash"], row["example_id"]


class Attempt:
    """The one file that this process appends to, created on the first row. Use it as a context
    manager.
    """

    def __init__(self, folder: Path, provenance: Mapping[str, Any]):
        self.folder, self.provenance, self.id = folder, dict(provenance), digest(provenance)
        self.file = None

    def append(self, rows: Iterable[Row]) -> None:
        """Write rows and wait until the disk has them; every row gets this attempt's provenance id.

        Raises UserError when the disk is full or cannot be written: earlier rows are kept.
        """
        text = "".join(_line({**row, "provenance": self.id}) for row in rows)
        try:
            if self.file is None:
                paths.make_folder(self.folder)
                stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
                self.file = open(self.folder / f"{stamp}.jsonl", "x", encoding="utf-8")
                text = _line({PROVENANCE: self.provenance, "id": self.id}) + text
            self.file.write(text)
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            if error.errno not in (
                errno.ENOSPC,
                errno.EDQUOT,
                errno.EROFS,
                errno.EACCES,
                errno.EPERM,
            ):
                raise
            raise UserError(
                f"{self.folder} cannot be written ({error.strerror}): rows so far are kept, make"
                " room and run again to go on."
            ) from None

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            with suppress(
                OSError
            ):  # what a full disk left in the buffer is lost, and `append` has said so
                self.file.close()


@dataclass
class Contents:
    """What was read: rows by key, provenance blocks by id, keys whose attempts disagree on the
    tokens, and the last crash of examples that have no row."""

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

    def take(self, other: Contents, keys: Iterable[Key]) -> None:
        """Add what another one has of these keys, in their order."""
        wanted = dict.fromkeys(keys)
        self.rows |= {key: other.rows[key] for key in wanted if key in other.rows}
        self.crashes |= {key: other.crashes[key] for key in wanted if key in other.crashes}
        self.conflicts |= other.conflicts & wanted.keys()
        used = {other.rows[key]["provenance"] for key in wanted if key in other.rows}
        self.provenance |= {name: other.provenance[name] for name in sorted(used)}


def folder_of(results: Path | None, model: str, fingerprint: str, task: str) -> Path:
    """Decide where the rows of one model on one task lie, under `results` or else data/results."""
    return Path(results or paths.RESULTS) / "rows" / f"{model}-{fingerprint}" / task


def read(folder: Path) -> Contents:
    """Read the union of a folder's attempts, oldest first.

    The unfinished last line of a killed run is ignored. Raises UserError on any other line that is
    not a row.
    """
    contents = Contents()
    for path in sorted(folder.glob("*.jsonl")):
        for line in read_lines(path):
            contents.add(line)
    return contents


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a row file, plain or gzipped, without the torn last line of a killed
    run.

    Raises UserError naming file and line on anything else that is not a row.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.endswith(b"\n"):
                return
            try:
                line = json.loads(raw)
                complete = PROVENANCE in line or (
                    {"config_hash", "example_id"} <= line.keys() and not KINDS.isdisjoint(line)
                )
            except (ValueError, AttributeError, TypeError):
                complete = False
            if not complete:
                raise UserError(
                    f"{path} line {number} is not a result row: delete that line to have its"
                    " example decoded again; all other lines stay valid."
                )
            yield line


def publish(path: Path, rows: Iterable[Row], provenance: Mapping[str, Any]) -> None:
    """Write rows and the provenance they name as one gzipped file that is the same bytes for the
    same rows.

    The file replaces its predecessor in one step: an interrupted export leaves the old one.
    """
    rows = sorted(rows, key=lambda row: (row["model"], row["task"], row["label"], *key_of(row)))
    used = sorted({row["provenance"] for row in rows})
    lines = [_line({PROVENANCE: provenance[one], "id": one}) for one in used] + [
        _line(row) for row in rows
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    draft.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    os.replace(draft, path)


def read_published(path: Path) -> Contents:
    """Read a file that `publish` wrote; UserError where it is missing or damaged."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: `psd reproduce` writes it.")
    contents = Contents()
    try:
        for line in read_lines(path):
            contents.add(line)
    except (OSError, EOFError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{path} is damaged: {error}; restore it from version control or run `psd reproduce`."
        ) from None
    return contents


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"
