"""The two doors: one check, and many side by side."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from psd_lab.sandbox.backends import NONE
from psd_lab.sandbox.errors import UnsafeExecution
from psd_lab.sandbox.host import attempt
from psd_lab.sandbox.names import plan
from psd_lab.sandbox.probing import require
from psd_lab.sandbox.verdict import Limits, Tests, Verdict
from psd_lib.errors import UserError

# Checks that are prepared ahead of the one whose verdict is awaited, per worker.
AHEAD = 4


class _Road:
    """Many checks at a time, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Waits while someone runs alone."""
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
    def alone(self) -> Iterator[None]:
        """Waits until nobody else runs; others wait meanwhile."""
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


_ROAD = _Road()


def check(
    code: str,
    task: Tests | Mapping[str, Any],
    limits: Limits = Limits(),
    allow_unsafe: bool = False,
) -> Verdict:
    """Judges generated code with its tests, in two isolated processes.

    The CPU limit decides. A check that is late by the clock runs once more, alone, before it is a
    "timeout"; one that the sandbox itself failed runs once more before it is "infra". A late check
    therefore takes at most twice its wall limit.

    allow_unsafe: True runs without isolation (a warning each time, `Verdict.backend` "none"): only
    for code you trust. Raises SandboxUnavailable where no back-end works, UserError on tests that
    do not parse or a code that is no text.
    """
    if not isinstance(code, str):
        raise UserError(f"code must be a text, not {type(code).__name__}.")
    if not isinstance(limits, Limits):
        raise UserError(f"limits must be Limits, not {type(limits).__name__}.")
    tests = Tests.of(task)
    plan(tests)
    if allow_unsafe:
        warnings.warn(
            "generated code runs without isolation: it can read, change and send whatever you can.",
            UnsafeExecution,
            stacklevel=2,
        )
    return run(NONE if allow_unsafe else require(), code, tests, limits)


def run(backend: str, code: str, tests: Tests, limits: Limits) -> Verdict:
    """Judges under one named back-end, with the second chances of `check`."""
    with _ROAD.shared():
        verdict = attempt(backend, code, tests, limits)
    if verdict.status == "infra" and not verdict.reason.startswith("unsupported_test"):
        with _ROAD.shared():
            verdict = attempt(backend, code, tests, limits)
    if verdict.status == "timeout" and verdict.reason == "wall":
        with _ROAD.alone():
            verdict = attempt(backend, code, tests, limits)
    return verdict


def check_many(
    pairs: Iterable[tuple[str, Tests | Mapping[str, Any]]],
    limits: Limits = Limits(),
    workers: int = 2,
    allow_unsafe: bool = False,
) -> Iterator[Verdict]:
    """Judges (code, task) pairs with `workers` checks side by side; verdicts keep the order of the
    pairs.

    Pairs are drawn a few ahead of the verdicts, so that they may be endless. UserError unless
    workers is at least 1.
    """
    if not isinstance(workers, int) or workers < 1:
        raise UserError(f"workers must be a whole number of at least 1, not {workers!r}.")
    if not allow_unsafe:
        require()
    return _in_order(pairs, limits, workers, allow_unsafe)


def _in_order(
    pairs: Iterable[tuple[str, Tests | Mapping[str, Any]]],
    limits: Limits,
    workers: int,
    allow_unsafe: bool,
) -> Iterator[Verdict]:
    waiting: deque[Future[Verdict]] = deque()
    # Threads outlive their checks: the kernel ends a sandbox when the thread that started it ends.
    pool = ThreadPoolExecutor(workers, thread_name_prefix="sandbox")
    try:
        for code, task in pairs:
            waiting.append(pool.submit(check, code, task, limits, allow_unsafe))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
