"""Where a training may write: nothing that it did not write itself is ever replaced or removed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from psd_lab.files import refusal
from psd_lab.paths import make_folder
from psd_lib.errors import UserError

RECORD = "training.json"
CHECKPOINT = frozenset(
    {
        "README.md",
        "calibration.svg",
        "config.json",
        "learning_curve.svg",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        RECORD,
    }
)
STATE, LOG, TOKENIZER = "state.pt", "log.jsonl", "tokenizer"
WORK = frozenset({STATE, LOG, TOKENIZER})
LOCK = ".psd-train.lock"
DRAFT = ".psd-train-"  # of names that only this module makes; a killed run may leave some


def check_places(model: str, out: Path, work: Path) -> None:
    """Check that `model` can be trained in `work` and written to `out`, creating both folders.

    Raises:
        UserError: One of them is a file, cannot be written, or holds what `psd train` did not
            write; or `out` holds another model, or one lies inside the other.
    """
    if out.is_relative_to(work) or work.is_relative_to(out):
        raise UserError(f"out and work must be two folders side by side, not {out} and {work}.")
    foreign = _entries(out) - CHECKPOINT
    if foreign or (_entries(out) and (name := trained_model(out)) is None):
        raise UserError(
            f"{out} holds {_listed(foreign or _entries(out))}, which psd train did not write: give"
            " an empty folder, a new one, or one with a checkpoint of this model."
        )
    if _entries(out) and name != model:
        raise UserError(f"{out} holds a trained {name}: give another folder for {model}.")
    if foreign := _entries(work) - WORK:
        raise UserError(
            f"{work} holds {_listed(foreign)}, which psd train did not write: give another folder"
            " for the state of the training."
        )
    for folder in (out, work):
        check_writable(folder)


def trained_model(folder: Path) -> str | None:
    """Return the name of the model that `psd train` wrote to a folder; None where it wrote none."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return record["name"] if isinstance(record["recipe"], dict) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def check_writable(folder: Path) -> None:
    """Create a folder where it is missing and check that files can be written there.

    Raises:
        UserError: They cannot.
    """
    make_folder(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=DRAFT) as file:
            file.write(b"\0" * 4096)
    except OSError as error:
        raise refusal(folder, error) from None


def check_room(folder: Path, size: int) -> None:
    """Check that a disk has room for `size` more bytes.

    Raises:
        UserError: It has not.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(
            f"Training needs {size / 2**20:.0f} MiB in {folder}, where {free / 2**20:.0f} MiB are"
            " free: make room or give another folder."
        )


def clear(work: Path) -> None:
    """Remove the state of an earlier training, and nothing else, from a folder."""
    for name in (STATE, LOG):
        (work / name).unlink(missing_ok=True)
    shutil.rmtree(work / TOKENIZER, ignore_errors=True)


def replace_checkpoint(draft: Path, out: Path) -> None:
    """Move the files of a new checkpoint from `draft` to `out`, in place of those of an old one.

    config.json goes first and comes back last, so that a reader finds a whole checkpoint or none.
    """
    for name in CHECKPOINT - {RECORD}:
        if name == "config.json" or not (draft / name).exists():
            (out / name).unlink(missing_ok=True)
    names = sorted(path.name for path in draft.iterdir())
    for name in sorted(names, key=lambda name: (name == "config.json", name != RECORD)):
        os.replace(draft / name, out / name)


@contextmanager
def draft_folder(out: Path) -> Iterator[Path]:
    """Open a folder inside `out` that is removed in the end; drafts of killed runs go, too."""
    for left in out.glob(f"{DRAFT}*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    with tempfile.TemporaryDirectory(dir=out, prefix=DRAFT) as folder:
        yield Path(folder)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other training out of a folder. The lock of a killed process does not count.

    Raises:
        UserError: Another process trains there; the message has its host and process id.
    """
    path = folder / LOCK
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        owner = path.read_text(encoding="utf-8") or "another process"
        raise UserError(
            f"{owner} is training in {folder}: wait for it, or give another folder."
        ) from None
    try:
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        path.unlink(missing_ok=True)  # still held: who opened it by now finds it gone and retries
        lock.release()


def _entries(folder: Path) -> set[str]:
    """Names in a folder but for locks and drafts; none where it is missing."""
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise UserError(f"{folder} is a file: give a folder.")
    return {path.name for path in folder.iterdir() if not path.name.startswith(DRAFT)} - {LOCK}


def _listed(names: Any) -> str:
    """The first of some names, and how many there are besides."""
    first, *others = sorted(names)
    return f"{first} and {len(others)} more" if others else first
