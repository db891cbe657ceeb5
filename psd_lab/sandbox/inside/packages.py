"""Installed packages that the candidate may import, without a folder of packages to search."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

# One thread: others would cost memory and CPU time for each core of the machine.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _Finder:
    """Finds the allowed packages by name; their own folders lead to the modules in them."""

    def __init__(self, packages: list[list]) -> None:
        self.places = {name: (file, folders) for name, file, folders in packages}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Describe where the package `name` lies; None when it is not allowed."""
        if name not in self.places:
            return None
        from importlib.util import spec_from_file_location

        file, folders = self.places[name]
        return spec_from_file_location(name, file, submodule_search_locations=folders)


def offer(packages: list[list]) -> None:
    """Let this process import `packages`, each given as [name, file, folders or None]."""
    if packages:
        os.environ.update(dict.fromkeys(THREADS, "1"))
        sys.meta_path.append(_Finder(packages))
