"""What goes into a check and what comes out: tests, limits, verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

from psd_lib.errors import UserError

WALL_PER_CPU = 3.0
LONGEST = 24 * 60 * 60
SMALLEST_MEMORY, LARGEST_MEMORY = 64 * 1024**2, 2**46
FIELDS = ("source", "entry_point", "prelude")


@dataclass(frozen=True)
class Tests:
    """A test program, trusted, which only the judge sees.

    Attributes:
        source: The program; it can import the standard library only.
        entry_point: Name of the tested function; `source` then defines `check(candidate)`, which
            gets that function of the candidate (HumanEval). Without it the free names of `source`
            are names of the candidate (MBPP: asserts joined by newlines).
        prelude: Trusted code that runs first, such as helpers of the prompt or a set-up.
    """

    __test__ = False  # pytest collects classes of this name

    source: str
    entry_point: str | None = None
    prelude: str = ""

    @classmethod
    def of(cls, task: Tests | Mapping[str, Any]) -> Tests:
        """Take tests as they are or from a mapping with the same keys.

        Raises:
            UserError: `task` is anything else.
        """
        if isinstance(task, Mapping):
            unknown = sorted(str(key) for key in task if key not in FIELDS)
            if unknown or "source" not in task:
                raise UserError(
                    "a task as a mapping needs the key source and may have entry_point and"
                    f" prelude, not {', '.join(unknown) or 'nothing'}."
                )
            task = cls(task["source"], task.get("entry_point"), task.get("prelude", ""))
        if not isinstance(task, Tests):
            raise UserError(
                "task must be Tests or a mapping with source, entry_point and prelude, not"
                f" {type(task).__name__}."
            )
        if not isinstance(task.source, str) or not isinstance(task.prelude, str):
            raise UserError("source and prelude of a task must be texts.")
        if task.entry_point is not None and not (
            isinstance(task.entry_point, str)
            and task.entry_point.isidentifier()
            and not iskeyword(task.entry_point)
        ):
            raise UserError(
                f"entry_point must be the name of a function or None, not {task.entry_point!r}."
            )
        return task


@dataclass(frozen=True)
class Limits:
    """What a candidate may use.

    Attributes:
        cpu: Seconds of CPU time, rounded up to whole ones; it decides, because it does not depend
            on what else the machine does.
        wall: Seconds on the clock for the whole check, for programs that wait; 3 times `cpu` plus 1
            unless given.
        memory: Bytes of address space of each process.
    """

    cpu: float = 3.0
    wall: float | None = None
    memory: int = 1024**3

    def __post_init__(self) -> None:
        for name in ("cpu", "wall"):
            value = getattr(self, name)
            if value is None and name == "wall":
                continue
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number and 0 < value <= LONGEST):
                raise UserError(
                    f"limit {name} must be a positive number of seconds, at most {LONGEST} (a day),"
                    f" not {value!r:.80}."
                )
        if type(self.memory) is not int or not SMALLEST_MEMORY <= self.memory <= LARGEST_MEMORY:
            raise UserError(
                f"limit memory must be at least {SMALLEST_MEMORY} bytes (the interpreter itself)"
                f" and at most {LARGEST_MEMORY}, not {self.memory!r:.80}."
            )

    @property
    def cpu_seconds(self) -> int:
        """The limit on CPU time in whole seconds, as the kernel takes it."""
        return math.ceil(self.cpu)

    @property
    def wall_seconds(self) -> float:
        """The limit on the clock in seconds."""
        return self.wall if self.wall is not None else WALL_PER_CPU * self.cpu_seconds + 1


@dataclass(frozen=True)
class Verdict:
    """The result of a check.

    Attributes:
        status: pass, fail, timeout, or infra (the sandbox failed: this says nothing about the code
            and is never a zero).
        reason: ok | assert | test_raised | candidate_raised | sandbox_denied | unsupported import |
            load_error | exit n | signal n | protocol | cpu | wall | unsupported_test and others of
            infra; details follow a colon, in printable ASCII. "unsupported import: numpy" means
            that the code needs a module that is not in the sandbox (see `packages` of `check`). It
            is a fail, because otherwise any code could excuse itself with such an import.
        cpu: Seconds of CPU of the candidate (of the judge as well where the check was stopped from
            outside).
        wall: Seconds.
        memory: Peak bytes of the candidate, None if unknown.
        backend: bubblewrap | landlock | none.
    """

    status: str
    reason: str
    cpu: float
    wall: float
    memory: int | None
    backend: str

    @property
    def correct(self) -> bool | None:
        """Whether the code passed; None when the check says nothing about it."""
        return None if self.status == "infra" else self.status == "pass"
