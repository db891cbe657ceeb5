"""Read the small JSON files of a checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from psd_lib.errors import UserError


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, which is UTF-8 whatever the locale.

    Raises:
        UserError: the file cannot be read or does not hold a JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is not valid JSON ({error}); restore it from the checkpoint's source."
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no JSON object; restore it from the checkpoint's source.")
    return found
