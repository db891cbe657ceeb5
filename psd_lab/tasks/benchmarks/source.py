"""Where a benchmark's rows come from: a local folder, or the Hub through `datasets`."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from psd_lib.errors import UserError

FOLDER = "PSD_DATA_DIR"
Row = dict[str, Any]


@dataclass(frozen=True)
class Files:
    """Where a benchmark's rows are, locally and on the Hub.

    Attributes:
        folder: Local folder.
        files: Split -> local file; several splits may share one.
        repo: Repository on the Hub.
        config: Configuration on the Hub.
        columns: What every row must have.
        ids: Split -> first and last value of the column `task_id`, where splits share a file.
    """

    folder: str
    files: Mapping[str, str]
    repo: str
    config: str | None
    columns: tuple[str, ...]
    ids: Mapping[str, tuple[int, int]] | None = None


def read(name: str, files: Files, split: str, data_dir: str | None) -> list[Row]:
    """Read a split's rows in their published order.

    They come from `data_dir`, else from the Hub or its local cache.

    Raises:
        UserError: The split is unknown, a file or column is missing, or the Hub cannot be used (at
            once with HF_HUB_OFFLINE=1).
    """
    check_split(name, files, split)
    rows = _local(name, files, split, Path(data_dir)) if data_dir else _hub(name, files, split)
    if not rows:
        raise UserError(
            f"The split {split} of {name} in {data_dir or files.repo} is empty: at least one row is"
            " expected."
        )
    for number, row in enumerate(rows, 1):
        missing = [
            column for column in files.columns if not isinstance(row, dict) or column not in row
        ]
        if missing:
            has = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            raise UserError(
                f"Row {number} of {name} lacks {', '.join(missing)}: the columns"
                f" {', '.join(files.columns)} are expected, it has {has}."
            )
    return [{column: row[column] for column in files.columns} for row in rows]


def check_split(name: str, files: Files, split: str) -> None:
    """Refuse a split that the task `name` does not have.

    Raises:
        UserError: The split is unknown.
    """
    if not isinstance(split, str) or split not in files.files:
        raise UserError(
            f"Unknown split {split!r} of task {name}: use one of {', '.join(files.files)}."
        )


def _local(name: str, files: Files, split: str, data_dir: Path) -> list[Row]:
    stem = files.files[split]
    tried = [
        folder / f"{stem}{end}"
        for folder in (data_dir / files.folder, data_dir)
        for end in ("", ".gz")
    ]
    path = next((path for path in tried if path.is_file()), None)
    if path is None:
        raise UserError(
            f"{name} is not in {data_dir}: {files.folder}/{stem} (or {stem}.gz) is expected there."
        )
    try:
        text = (
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        ).decode("utf-8")
        rows = (
            json.loads(text)
            if stem.endswith(".json")
            else [json.loads(line) for line in text.split("\n") if line.strip()]
        )
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): JSON, one object a line, is expected."
        ) from None
    if files.ids and all(isinstance(row, dict) and "task_id" in row for row in rows):
        low, high = files.ids[split]
        odd = next((row["task_id"] for row in rows if not isinstance(row["task_id"], int)), None)
        if odd is not None:
            raise UserError(f"{path} has the task_id {odd!r:.80}: a whole number is expected.")
        rows = [row for row in rows if low <= row["task_id"] <= high]
    return rows


@lru_cache(maxsize=8)
def _load_dataset(repo: str, config: str | None, split: str) -> list[Row]:
    from datasets import load_dataset

    return load_dataset(repo, config, split=split).to_list()


def _hub(name: str, files: Files, split: str) -> list[Row]:
    elsewhere = (
        f"or give a folder that has {files.folder}/{files.files[split]} (data_dir, --data-dir or"
        f" {FOLDER})"
    )
    try:
        return _load_dataset(files.repo, files.config, split)
    except ImportError:
        raise UserError(
            f"{name} comes from the Hub through the package datasets: install psd-lib[benchmarks],"
            f" {elsewhere}."
        ) from None
    except (OSError, ValueError) as error:
        # Not in the cache, no such repository, gated, or no network: `datasets` has a class for
        # each, all of these two.
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
        first = (str(error).splitlines() or [""])[0]
        why = (
            "it is not in the local cache and HF_HUB_OFFLINE forbids the network"
            if offline
            else f"{type(error).__name__}: {first}"
        )
        raise UserError(
            f"{name} could not be read from {files.repo} on the Hub ({why}): download it once,"
            f" {elsewhere}."
        ) from None
