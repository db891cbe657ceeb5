"""Tasks by name: the embedded ones, then the published benchmarks. Adding a task means adding its
module to one of two tuples.
"""

from __future__ import annotations

from pathlib import Path

from psd_lab.tasks import mini_gsm, mini_humaneval, mini_mbpp
from psd_lab.tasks.base import Example, Score, Task
from psd_lib.errors import UserError

_TASKS: dict[str, Task] = {
    module.TASK.name: module.TASK for module in (mini_gsm, mini_humaneval, mini_mbpp)
}

__all__ = [
    "Example",
    "Score",
    "Task",
    "benchmark_names",
    "describe",
    "embedded",
    "get",
    "names",
    "profiles",
]


def embedded() -> list[str]:
    """Lists the tasks whose data is generated here."""
    return list(_TASKS)


def benchmark_names() -> list[str]:
    """Lists the published benchmarks, whose data comes from the Hub or a folder of the user's."""
    from psd_lab.tasks.benchmarks import SPECS

    return list(SPECS)


def names() -> list[str]:
    """Lists all tasks in their order of presentation: the embedded ones first."""
    return embedded() + benchmark_names()


def describe(name: str) -> str:
    """One line about a task, without reading its data; UserError on an unknown one."""
    from psd_lab.tasks.benchmarks import SPECS

    return SPECS[name].description if name in SPECS else get(name).description


def profiles(name: str | None = None) -> list[str]:
    """Lists the protocol profiles, or those that run the benchmark `name`."""
    from psd_lab.tasks import benchmarks

    found = benchmarks.profiles()
    return (
        found if name is None else [profile for profile in found if benchmarks.runs(profile, name)]
    )


def get(name: str, profile: str | None = None, data_dir: str | Path | None = None) -> Task:
    """Finds a task by name; a benchmark under a protocol profile (default: its own) with rows from
    a folder or the Hub.

    Rows are read at `load`. Raises UserError on an unknown name or profile, on a profile that does
    not run the task, and when an embedded task is given a profile or a folder.
    """
    from psd_lab.tasks.benchmarks import SPECS, make

    if name in SPECS:
        return make(SPECS[name], profile, data_dir)
    if name not in _TASKS:
        raise UserError(f"Unknown task {name!r}: use one of {', '.join(names())}.")
    if profile is not None or data_dir is not None:
        raise UserError(
            f"Task {name} is embedded and takes no profile and no data_dir: these belong to"
            f" {', '.join(SPECS)}."
        )
    return _TASKS[name]
