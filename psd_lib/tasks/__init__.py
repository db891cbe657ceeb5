"""Benchmarks by name. Adding a task means adding its module to the tuple below."""

from __future__ import annotations

from psd_lib.errors import UserError
from psd_lib.tasks import mini_gsm, mini_humaneval, mini_mbpp
from psd_lib.tasks.base import Example, Score, Task

_TASKS: dict[str, Task] = {module.TASK.name: module.TASK for module in (mini_gsm, mini_humaneval, mini_mbpp)}

__all__ = ["Example", "Score", "Task", "get", "names"]


def names() -> list[str]:
    """Lists the tasks in their order of presentation."""
    return list(_TASKS)


def get(name: str) -> Task:
    """Finds a task by name; UserError on an unknown one, listing the names."""
    if name not in _TASKS:
        raise UserError(f"Unknown task {name!r}: use one of {', '.join(_TASKS)}.")
    return _TASKS[name]
