"""The state and the log of a training on disk: always one whole state, the newest."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch

from psd_lab.files import refusal, write_atomically
from psd_lab.training.places import LOG, STATE
from psd_lib.errors import UserError


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Replace the state in a folder in one step.

    Raises:
        UserError: It cannot be written; the one before it is intact.
    """
    content = io.BytesIO()
    torch.save(state, content)  # in memory: torch's own way to a file hides why the system refused
    write_atomically(folder / STATE, content.getvalue())


def load_state(folder: Path) -> dict[str, Any] | None:
    """Return the state in a folder, on the CPU; None where there is none.

    Raises:
        UserError: It cannot be read.
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
    """The learning curve, one JSON object per line.

    Records after `step`, from which the training goes on, are dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / LOG
        kept = [record for record in read_log(folder) if record["step"] <= step] if step else []
        write_atomically(self.path, "".join(json.dumps(record) + "\n" for record in kept))

    def write(self, **record: Any) -> None:
        """Append one record."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise refusal(self.path, error) from None


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the records of the log in a folder without a last line that was cut off."""
    path, records = folder / LOG, []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records
