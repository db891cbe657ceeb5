"""Where files lie: ROOT is the folder that is written to, SHIPPED what came with the package.

Both have the layout of the checkout, and inside a checkout both are the checkout. Files below ROOT
are searched first, then those of SHIPPED: see `find` and `files`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psd_lib.errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent
NAME = "psd-home"


def is_checkout(folder: Path) -> bool:
    """Say whether a folder has the experiments of this project, so that it is a checkout of it."""
    return (folder / "data" / "configs" / "tiers.yaml").is_file()


def find_root() -> Path:
    """Return PSD_HOME, else the checkout that this package or the working folder sits in.

    An installed package elsewhere uses the folder `psd-home` in the working folder, which
    `make_folder` creates.

    Raises:
        UserError: PSD_HOME is set and is not a folder.
    """
    if home := os.environ.get("PSD_HOME"):
        folder = Path(home).expanduser().resolve()
        if not folder.is_dir():
            raise UserError(
                f"PSD_HOME is {home!r}, which is not a folder: create it, or unset PSD_HOME."
            )
        return folder
    here = Path.cwd()
    return next(filter(is_checkout, (PACKAGE, here, *here.parents)), here / NAME)


ROOT = find_root()
SHIPPED = PACKAGE if is_checkout(PACKAGE) else PACKAGE / "psd_data"
DATA = ROOT / "data"
MODELS = DATA / "models"
GRAPHS = DATA / "graphs"


def make_folder(folder: Path) -> Path:
    """Create a folder with its parents and return it; say so on stderr where ROOT is among them.

    Raises:
        UserError: The folder cannot be created.
    """
    new_root = folder.is_relative_to(ROOT) and not ROOT.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = ": set PSD_HOME to a folder that can be written" if new_root else ""
        raise UserError(f"{folder} cannot be created ({error.strerror}){hint}.") from None
    if new_root:
        print(f"psd: files are written to {ROOT}; set PSD_HOME to choose another", file=sys.stderr)
    return folder


@contextmanager
def root_for_children() -> Iterator[None]:
    """Let processes that are started inside use the same ROOT, whatever folder they run in."""
    before = os.environ.get("PSD_HOME")
    os.environ["PSD_HOME"] = str(ROOT)
    try:
        yield
    finally:
        if before is None:
            del os.environ["PSD_HOME"]
        else:
            os.environ["PSD_HOME"] = before


def is_installed(path: Path) -> bool:
    """Say whether a path belongs to an installed package, whose files are never written."""
    return SHIPPED != PACKAGE and path.is_relative_to(SHIPPED)


def find(folder: Path, name: str | Path) -> Path:
    """Return `folder / name`, or its shipped counterpart where only that exists."""
    candidates = [layer / name for layer in _layers(folder)]
    return next((path for path in candidates if os.path.exists(path)), candidates[0])


def files(folder: Path, pattern: str) -> list[Path]:
    """List the files below `folder` that match a glob pattern, and the shipped ones beside them.

    They are sorted by their path relative to the folder; a file below ROOT replaces the shipped one
    of the same relative path.
    """
    found: dict[Path, Path] = {}
    for layer in _layers(folder):
        for path in layer.glob(pattern):
            found.setdefault(path.relative_to(layer), path)
    return [found[name] for name in sorted(found)]


def _layers(folder: Path) -> list[Path]:
    """The folder itself and, below ROOT, its shipped counterpart."""
    if not folder.is_relative_to(ROOT):
        return [folder]
    return list(dict.fromkeys([folder, SHIPPED / folder.relative_to(ROOT)]))
