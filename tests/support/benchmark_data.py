"""Where the tests find published data: PSD_DATA_DIR, else ../shared/data beside the project;
skipped where there is none.
"""

import gzip
import json
import os

import pytest

from psd_lab import paths, tasks

_FOLDER = os.environ.get("PSD_DATA_DIR") or str(paths.ROOT.parent / "shared" / "data")
FOLDER = _FOLDER if os.path.isdir(_FOLDER) else None
needs_data = pytest.mark.skipif(
    FOLDER is None,
    reason="NO BENCHMARK DATA: set PSD_DATA_DIR to a folder with gsm8k, humaneval and mbpp",
)
ASKED = {"problem": "What is $1+1$?", "solution": "It is $\\boxed{2}$.", "answer": "2"}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def math(folder, count=3):
    write(
        folder / "math500" / "test.jsonl", [{**ASKED, "level": number} for number in range(count)]
    )
    return tasks.get("math500", data_dir=folder)
