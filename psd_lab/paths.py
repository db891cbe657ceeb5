"""Where the experiment keeps things: the folders of `psd_lib.paths` and those that only it uses."""

from psd_lib.paths import DATA, GRAPHS, MODELS, ROOT

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
    "RESULTS",
    "ROOT",
    "TASKS",
]
