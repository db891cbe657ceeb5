"""The experiments of PSD: tasks, runs, reports, training and the `psd` command, over `psd_lib`.

psd_lab.tasks.get("mini-gsm"), psd_lab.runs.experiment("combined"), psd_lab.sandbox.check(...)
"""

from importlib import import_module

# Rooms are imported on first use, so that `psd --help` does not wait for torch or pandas.
_ROOMS = (
    "calibration",
    "harness",
    "metrics",
    "paths",
    "provenance",
    "report",
    "runs",
    "sandbox",
    "tasks",
    "training",
)

__all__ = [*_ROOMS]


def __getattr__(name: str):
    if name in _ROOMS:
        return import_module(f"psd_lab.{name}")
    raise AttributeError(f"module 'psd_lab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
