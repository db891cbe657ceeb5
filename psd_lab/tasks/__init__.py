"""Tasks by name: the embedded ones, then the published benchmarks.

Adding a task means adding its module to one of two tuples.
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
    """List the tasks whose data is generated here."""
    return list(_TASKS)


def benchmark_names() -> list[str]:
    """List the published benchmarks, whose data comes from the Hub or a folder of the user's."""
    from psd_lab.tasks.benchmarks import SPECS

    return list(SPECS)


def names() -> list[str]:
    """List all tasks in their order of presentation: the embedded ones first."""
    return embedded() + benchmark_names()


def describe(name: str) -> str:
    """Return one line about a task, without reading its data.

    Raises:
        UserError: The task is unknown.
    """
    from psd_lab.tasks.benchmarks import SPECS

    _require_known(name)
    return SPECS[name].description if name in SPECS else _TASKS[name].description


def profiles(name: str | None = None) -> list[str]:
    """List the protocol profiles, or those that run the task `name` (an embedded one has none).

    Raises:
        UserError: The task is unknown.
    """
    from psd_lab.tasks import benchmarks

    every = benchmarks.profiles()
    if name is None:
        return every
    _require_known(name)
    return [profile for profile in every if benchmarks.runs(profile, name)]


def get(name: str, profile: str | None = None, data_dir: str | Path | None = None) -> Task:
    """Return a task by its name.

    Rows are read at `load`.

    Args:
        name: One of `names()`.
        profile: How a benchmark is run; its own default unless given.
        data_dir: Folder with a benchmark's rows; they come from the Hub unless given.

    Raises:
        UserError: The task or the profile is unknown, the profile does not run the task, or an
            embedded task is given a profile or a folder.
    """
    from psd_lab.tasks.benchmarks import SPECS, make

    _require_known(name)
    if name in SPECS:
        return make(SPECS[name], profile, data_dir)
    if profile is not None or data_dir is not None:
        raise UserError(
            f"Task {name} is embedded and takes no profile and no data_dir: these belong to"
            f" {', '.join(SPECS)}."
        )
    return _TASKS[name]


def _require_known(name: str) -> None:
    if not isinstance(name, str) or name not in names():
        raise UserError(f"Unknown task {name!r}: use one of {', '.join(names())}.")
