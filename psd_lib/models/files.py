"""Small files of a checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path

from psd_lib.errors import UserError


def read_json(path: Path) -> dict:
    """The object in a JSON file. Raises UserError where it is none."""
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(
            f"{path} is not valid JSON ({error}); restore it from the checkpoint's source."
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no JSON object; restore it from the checkpoint's source.")
    return found
