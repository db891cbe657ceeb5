"""Which files the candidate needs in order to import a package that is installed on the host."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import machinery, metadata
from pathlib import Path

from psd_lib.errors import UserError


@dataclass(frozen=True)
class Package:
    """An installed package.

    Attributes:
        name: What the code imports.
        file: The file that Python runs at the import.
        folders: Where its submodules lie; None for a single file.
        readable: Everything that must be readable, shared libraries beside it included.
    """

    name: str
    file: str
    folders: tuple[str, ...] | None
    readable: tuple[str, ...]


def locate(names: Sequence[str]) -> tuple[Package, ...]:
    """Find installed packages by the names that code imports; the standard library is left out.

    Raises:
        UserError: `names` is not a list of names, or a package is not installed as files.
    """
    if (
        isinstance(names, str)
        or not isinstance(names, Sequence)
        or not all(isinstance(name, str) for name in names)
    ):
        raise UserError(f"packages must be a list of names such as ['numpy'], not {names!r}.")
    return tuple(_find(name) for name in names if name not in sys.stdlib_module_names)


@lru_cache(maxsize=256)
def _find(name: str) -> Package:
    # Only folders of installed packages are searched: elsewhere a name may mean any folder.
    spec = machinery.PathFinder.find_spec(name, _folders()) if name.isidentifier() else None
    if spec is None or spec.origin is None or not os.path.isfile(spec.origin):
        raise UserError(
            f"the package {name!r} is not installed here as files: packages must name what code"
            " imports, such as 'numpy'."
        )
    folders = tuple(spec.submodule_search_locations or ()) or None
    own = folders or (spec.origin,)
    return Package(name, spec.origin, folders, (*own, *_libraries(name, Path(own[0]).parent)))


def _folders() -> list[str]:
    found = [*site.getsitepackages(), site.getusersitepackages()]
    return [folder for folder in found if os.path.isdir(folder)]


def _libraries(name: str, folder: Path) -> list[str]:
    """Find the folders of shared libraries that wheels put beside a package: numpy.libs."""
    distributions = _distributions().get(name, [])
    places = (folder / f"{title}.libs" for title in {name, *distributions})
    return [str(place) for place in places if place.is_dir()]


@lru_cache(maxsize=1)
def _distributions() -> dict[str, list[str]]:
    found = metadata.packages_distributions()
    return {name: [title.replace("-", "_") for title in titles] for name, titles in found.items()}
