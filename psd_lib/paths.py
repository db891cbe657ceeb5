"""Where checkpoints and draft graphs lie. Every path of both packages derives from ROOT."""

import os
from pathlib import Path


def find_root() -> Path:
    """Decide which folder is the project: PSD_HOME, else the checkout this package sits in, else
    the working folder's.

    A package installed without its checkout looks for `data/configs` in the working folder and the
    folders above it, and falls back to the working folder itself.
    """
    if home := os.environ.get("PSD_HOME"):
        return Path(home).expanduser().resolve()
    package, here = Path(__file__).resolve().parent.parent, Path.cwd()
    for candidate in (package, here, *here.parents):
        if (candidate / "data" / "configs").is_dir():
            return candidate
    return here


ROOT = find_root()
DATA = ROOT / "data"
MODELS = DATA / "models"
GRAPHS = DATA / "graphs"
