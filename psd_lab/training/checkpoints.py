"""The state of a training run on disk: written next to the old one, then renamed over it, so one is
always whole.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import torch

from psd_lib.errors import UserError

STATE, LOG = "state.pt", "log.jsonl"


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Replaces the checkpoint in `folder` by `state` in one rename; UserError where it cannot be
    written.
    """
    partial, content = folder / f"{STATE}.partial", io.BytesIO()
    torch.save(state, content)  # in memory: torch's own way to a file hides why the system refused
    try:
        partial.write_bytes(content.getbuffer())
        os.replace(partial, folder / STATE)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(
            f"The training checkpoint cannot be written to {folder} ({error.strerror}); the one"
            " before it is intact: make room and resume."
        ) from error


def load_state(folder: Path) -> dict[str, Any] | None:
    """The checkpoint in `folder`, on the CPU, or None where there is none; UserError if it cannot
    be read.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"The training checkpoint {path} cannot be read ({type(error).__name__}); delete it or"
            " train with resume off."
        ) from error


class Log:
    """The learning curve: one JSON object per line; records after the step that is resumed from are
    dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / LOG
        kept = [record for record in read_log(folder) if record["step"] <= step] if step else []
        self.path.write_text("".join(json.dumps(record) + "\n" for record in kept))

    def write(self, **record: Any) -> None:
        """Appends one record."""
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """All records of the log in `folder`; a last line that was cut off is left out."""
    return read_records(folder / LOG)


def read_records(path: Path) -> list[dict[str, Any]]:
    """One JSON object per line of the file, none where there is no file; a line that was cut off is
    left out.
    """
    records = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records
