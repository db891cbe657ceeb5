"""One attempt: start the two processes, feed them, wait, read the verdict, leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from psd_lab.sandbox import backends
from psd_lab.sandbox.inside import plain
from psd_lab.sandbox.names import plan
from psd_lab.sandbox.packages import Package
from psd_lab.sandbox.verdict import Limits, Tests, Verdict

LARGEST_VERDICT = 64 * 1024
# SIGKILL takes effect at once; a process that is busy in the kernel may need a moment.
FAREWELL_SECONDS = 2.0


def attempt(
    backend: str, code: str, tests: Tests, limits: Limits, packages: Sequence[Package] = ()
) -> Verdict:
    """Run code against tests once under one back-end; code may import `packages`.

    Every failure of the machinery becomes "infra".
    """
    nonce = secrets.token_hex(16)
    more = [path for package in packages for path in package.readable]
    job = {
        "backend": backend,
        "code": code,
        "cpu": limits.cpu_seconds,
        "memory": limits.memory,
        "packages": [[package.name, package.file, package.folders] for package in packages],
        "readable": [*backends.readable(), *more],
        "parent": 0 if backend == "bubblewrap" else os.getpid(),
    }
    try:
        frames = _frame(job) + _frame({**plan(tests), "nonce": nonce})
    except ValueError as error:
        return Verdict("fail", f"load_error: {error}", 0.0, 0.0, None, backend)
    begin = time.monotonic()
    readable, writable = os.pipe()
    try:
        child = _start(backends.command(backend, writable, more), writable)
    except OSError as error:
        os.close(readable)
        return Verdict("infra", f"not started: {plain.clean(error)}", 0.0, 0.0, None, backend)
    finally:
        os.close(writable)
    late, report, usage, words = True, b"", None, ""
    try:
        late, report = _exchange(child, readable, frames, begin + limits.wall_seconds)
    finally:
        os.close(readable)
        usage = _end(child, patient=not late and not report)
        words = _last_words(child)
    cpu, wall = usage.ru_utime + usage.ru_stime, time.monotonic() - begin
    return _read(report, nonce, late, child.returncode, words, cpu, wall, backend)


def _start(command: list[str], writable: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(writable,),
        env=backends.ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )


def _frame(message: dict[str, Any]) -> bytes:
    data = json.dumps(message).encode("ascii")
    if len(data) > plain.LARGEST_FRAME:
        raise ValueError("code or tests are larger than 16 MiB")
    return len(data).to_bytes(4, "big") + data


def _exchange(
    child: subprocess.Popen[bytes], readable: int, frames: bytes, deadline: float
) -> tuple[bool, bytes]:
    """Feed the frames and read the verdict until it is complete or the pipe ends.

    Returns whether the deadline passed first, and what was read.
    """
    assert child.stdin is not None
    rest, report = memoryview(frames), b""
    feed = child.stdin.fileno()
    os.set_blocking(feed, False)
    poller = select.poll()
    poller.register(readable, select.POLLIN)
    poller.register(feed, select.POLLOUT)
    while (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poller.poll(left * 1000):
            if descriptor == feed:
                try:
                    rest = rest[os.write(feed, rest) :]
                except BlockingIOError:
                    pass
                except BrokenPipeError:
                    rest = rest[:0]
                if not rest:
                    poller.unregister(feed)
            else:
                part = os.read(readable, LARGEST_VERDICT)
                report += part
                if (
                    not part
                    or len(report) > LARGEST_VERDICT
                    or len(report) >= 4 + int.from_bytes(report[:4], "big") > 4
                ):
                    return False, report
    return True, report


def _end(child: subprocess.Popen[bytes], patient: bool = False) -> Any:
    """Kill the whole group and return what it used.

    The group is killed before its leader is reaped: its number is still taken. `patient` first lets
    a leader that fell silent end by itself, so that its exit status says why (out of CPU time).
    """
    assert child.stdin is not None
    child.stdin.close()
    deadline = time.monotonic() + FAREWELL_SECONDS
    while patient and time.monotonic() < deadline:
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage


def _last_words(child: subprocess.Popen[bytes]) -> str:
    """Read what a failed start wrote about itself.

    The pipe is held by every process of the check, so its end means that all are gone.
    """
    assert child.stderr is not None
    words, descriptor = b"", child.stderr.fileno()
    deadline = time.monotonic() + FAREWELL_SECONDS
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    with child.stderr:
        while (left := deadline - time.monotonic()) > 0 and poller.poll(left * 1000):
            part = os.read(descriptor, LARGEST_VERDICT)
            if not part:
                break
            words = (words + part)[-LARGEST_VERDICT:]
    lines = words.decode("utf-8", "replace").strip().splitlines()
    return plain.clean(lines[-1]) if lines else ""


def _read(
    report: bytes,
    nonce: str,
    late: bool,
    code: int,
    words: str,
    cpu: float,
    wall: float,
    backend: str,
) -> Verdict:
    """Make the verdict out of what the judge wrote, or out of how it ended."""
    try:
        message = json.loads(report[4:]) if report else None
    except ValueError:
        message = None
    if isinstance(message, dict) and message.get("nonce") == nonce:
        return Verdict(
            message["status"], message["reason"], message["cpu"], wall, message["memory"], backend
        )
    if late:
        return Verdict("timeout", "wall", cpu, wall, None, backend)
    if code in (-signal.SIGXCPU, 128 + signal.SIGXCPU):
        return Verdict("timeout", "cpu: in the tests", cpu, wall, None, backend)
    return Verdict(
        "infra", f"no verdict (exit {code}){': ' if words else ''}{words}", cpu, wall, None, backend
    )
