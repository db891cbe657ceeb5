"""Where a result comes from: code, packages, machine. One block per run, one id in every row."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from psd_lab.paths import PACKAGE, is_checkout

PACKAGES = ("psd-lib", "torch", "transformers", "tokenizers", "safetensors", "numpy", "pandas")
# Not ROOT: an installed package may write into a repository of the user's.
CHECKOUT = PACKAGE if is_checkout(PACKAGE) else None
INPUTS = ("psd_lib", "psd_lab", "data/configs", "data/models", "data/tasks", "requirements.lock")


def collect() -> dict[str, Any]:
    """Describe the running code and the machine as JSON data.

    `dirty` says whether code or inputs differ from `commit`; both are None outside a git checkout.
    `lock` names the pinned environment (the first 12 hex digits of the lock file's sha256; None for
    an installed package), `threads` the number of threads that torch computes with.
    """
    import torch

    lock = CHECKOUT and CHECKOUT / "requirements.lock"
    status = _git("status", "--porcelain", "--untracked-files=no", "--", *INPUTS)
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": None if status is None else bool(status),
        "packages": {name: _version(name) for name in PACKAGES},
        "lock": hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
        if lock and lock.is_file()
        else None,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _git(*arguments: str) -> str | None:
    if CHECKOUT is None:
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(CHECKOUT), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
