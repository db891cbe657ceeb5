"""Where the tests find published data: PSD_DATA_DIR, else ../shared/data beside the project;
skipped where there is none.
"""

import os

import pytest

from psd_lab import paths

_FOLDER = os.environ.get("PSD_DATA_DIR") or str(paths.ROOT.parent / "shared" / "data")
FOLDER = _FOLDER if os.path.isdir(_FOLDER) else None
needs_data = pytest.mark.skipif(
    FOLDER is None,
    reason="NO BENCHMARK DATA: set PSD_DATA_DIR to a folder with gsm8k, humaneval and mbpp",
)
