"""Fingerprints: which weights and config a row was decoded with, by content.

The whole content counts. Files over 64 MiB are hashed once and remembered in the user's cache
folder under their path, inode, size and modification time, so that a file changed behind all four
of these is taken for the old one.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

LARGE = 1 << 26
WORTH_SAYING = 10**10
_REMEMBERED: dict[str, str] = {}


def fingerprint(folder: Path) -> str:
    """Return the first 12 hex digits of the sha256 over a checkpoint's config and weights."""
    digest = hashlib.sha256()
    for path in sorted([folder / "config.json", *folder.glob("*.safetensors")]):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size};".encode())
        digest.update(path.read_bytes() if size <= LARGE else _of_large(path).encode())
    return digest.hexdigest()[:12]


def _of_large(path: Path) -> str:
    """Return the sha256 of a file, from memory or the cache where it is known."""
    stat = path.stat()
    key = f"{path.resolve()}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"
    if key not in _REMEMBERED:
        _REMEMBERED.update(_read())
    if key not in _REMEMBERED:
        if stat.st_size > WORTH_SAYING:
            print(f"hashing {path} once, {stat.st_size / 1e9:.1f} GB", file=sys.stderr)
        with path.open("rb") as file:
            _REMEMBERED[key] = hashlib.file_digest(file, "sha256").hexdigest()
        _write({**_read(), **_REMEMBERED})
    return _REMEMBERED[key]


def _file() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "psd_lib" / "fingerprints.json"


def _read() -> dict[str, str]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(known: dict[str, str]) -> None:
    """Replace the cache at once.

    If it cannot be written, the next process has to hash again and nothing else is lost.
    """
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=_file().parent, suffix=".tmp", delete=False
        ) as file:
            json.dump(known, file, indent=0)
        os.replace(file.name, _file())
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        pass
