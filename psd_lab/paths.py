"""Where the experiment keeps things: the folders of `psd_lib.paths` and those that only it uses."""

from psd_lib.paths import (
    DATA,
    GRAPHS,
    MODELS,
    PACKAGE,
    ROOT,
    SHIPPED,
    files,
    find,
    is_checkout,
    is_installed,
    make_folder,
    root_for_children,
)

TASKS = DATA / "tasks"
CONFIGS = DATA / "configs"
RESULTS = DATA / "results"
FIGURES = ROOT / "figures"
NOTEBOOKS = ROOT / "notebooks"

__all__ = [
    "CONFIGS",
    "DATA",
    "FIGURES",
    "GRAPHS",
    "MODELS",
    "NOTEBOOKS",
    "PACKAGE",
    "RESULTS",
    "ROOT",
    "SHIPPED",
    "TASKS",
    "files",
    "find",
    "is_checkout",
    "is_installed",
    "make_folder",
    "root_for_children",
]
