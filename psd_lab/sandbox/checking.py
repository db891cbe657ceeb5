"""The two entry points: one check, and many side by side."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from psd_lab.sandbox.backends import NONE
from psd_lab.sandbox.errors import UnsafeExecution
from psd_lab.sandbox.host import attempt
from psd_lab.sandbox.names import plan
from psd_lab.sandbox.packages import Package, locate
from psd_lab.sandbox.probing import require
from psd_lab.sandbox.verdict import Limits, Tests, Verdict
from psd_lib.errors import UserError

# Checks that are prepared ahead of the one whose verdict is awaited, per worker.
AHEAD = 4
MOST_WORKERS = 1024


class _ReadWriteLock:
    """Lets checks run concurrently; a retry after a wall-clock timeout runs exclusively."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Wait while a check runs exclusively."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until no other check runs; others wait meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._closed = True
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._running)
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()


_LOCK = _ReadWriteLock()
_LIMITS = Limits()


def check(
    code: str,
    task: Tests | Mapping[str, Any],
    limits: Limits = _LIMITS,
    allow_unsafe: bool = False,
    packages: Sequence[str] = (),
) -> Verdict:
    """Judge generated code with its tests, in two isolated processes.

    The CPU limit decides. A check that is late by the clock runs once more, alone, before it is a
    "timeout"; one that the sandbox itself failed runs once more before it is "infra". A late check
    therefore takes at most twice its wall limit.

    Args:
        code: The program. It can import the standard library and `packages`; any other import
            fails with the reason "unsupported import".
        task: The tests, which can import the standard library only.
        limits: What the code may use.
        allow_unsafe: True runs without isolation (a warning each time, `Verdict.backend` "none"):
            only for code you trust.
        packages: Installed packages that the code may import, each by the name that it imports:
            ["numpy"]. What they need themselves has to be listed, too. Their files become readable
            in the sandbox; nothing else changes.

    Raises:
        SandboxUnavailable: No back-end works here.
        UserError: The tests do not parse, the code is not text, or a package is not installed.
    """
    if not isinstance(code, str):
        raise UserError(f"code must be a text, not {type(code).__name__}.")
    _check_settings(limits, allow_unsafe)
    tests = Tests.of(task)
    plan(tests)
    allowed = locate(packages)
    if allow_unsafe:
        warnings.warn(
            "generated code runs without isolation: it can read, change and send whatever you can.",
            UnsafeExecution,
            stacklevel=2,
        )
    return run(NONE if allow_unsafe else require(), code, tests, limits, allowed)


def _check_settings(limits: Any, allow_unsafe: Any) -> None:
    if not isinstance(limits, Limits):
        raise UserError(f"limits must be Limits, not {type(limits).__name__}.")
    if not isinstance(allow_unsafe, bool):
        raise UserError(f"allow_unsafe must be True or False, not {allow_unsafe!r:.80}.")


def run(
    backend: str, code: str, tests: Tests, limits: Limits, packages: Sequence[Package] = ()
) -> Verdict:
    """Judge under one named back-end, with the second chances of `check`."""
    late = failed = 0
    while True:
        with _LOCK.exclusive() if late else _LOCK.shared():
            verdict = attempt(backend, code, tests, limits, packages)
        if verdict.status == "timeout" and verdict.reason == "wall":
            late += 1
        elif verdict.status == "infra" and not verdict.reason.startswith("unsupported_test"):
            failed += 1
        else:
            return verdict
        if 2 in (late, failed):
            return verdict


def check_many(
    pairs: Iterable[tuple[str, Tests | Mapping[str, Any]]],
    limits: Limits = _LIMITS,
    workers: int = 2,
    allow_unsafe: bool = False,
    packages: Sequence[str] = (),
) -> Iterator[Verdict]:
    """Judge (code, task) pairs with `workers` checks side by side.

    Verdicts keep the order of the pairs. Pairs are drawn a few ahead of the verdicts, so that they
    may be endless. The other arguments are those of `check`.

    Raises:
        SandboxUnavailable: No back-end works here.
        UserError: `workers` is not a whole number of at least 1, or what `check` refuses.
    """
    if type(workers) is not int or not 1 <= workers <= MOST_WORKERS:
        raise UserError(
            f"workers must be a whole number of at least 1 and at most {MOST_WORKERS}, not"
            f" {workers!r:.80}."
        )
    if not isinstance(pairs, Iterable):
        raise UserError(f"pairs must be pairs of code and tests, not {type(pairs).__name__}.")
    _check_settings(limits, allow_unsafe)
    locate(packages)
    if not allow_unsafe:
        require()
    return _in_order(pairs, limits, workers, allow_unsafe, packages)


def _in_order(
    pairs: Iterable[tuple[str, Tests | Mapping[str, Any]]],
    limits: Limits,
    workers: int,
    allow_unsafe: bool,
    packages: Sequence[str],
) -> Iterator[Verdict]:
    waiting: deque[Future[Verdict]] = deque()
    # Threads outlive their checks: the kernel ends a sandbox when the thread that started it ends.
    pool = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
    try:
        for pair in pairs:
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise UserError(f"each pair must be code and its tests, not {pair!r:.80}.")
            code, task = pair
            waiting.append(pool.submit(check, code, task, limits, allow_unsafe, packages))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
