"""Judges generated programs by running them with their tests in a separate, limited interpreter.

This is not yet a security boundary. The process has no environment, a temporary folder and limits on time, memory
and file size, but it can still read the user's files and reach the network, and a program written to deceive could
forge its verdict. It protects against accidents: endless loops, memory, crashes, early exits, output floods.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from psd_lib.tasks.base import Example, Score

# The limit on CPU time decides, because it does not depend on what else the machine does; the wall clock stops programs
# that wait. A run that is late by the wall clock gets one more, with three times as long, before it counts.
WALL_SECONDS = 10.0
SECOND_CHANCE = 3
CPU_SECONDS = 2
MEMORY_BYTES = 512 * 1024**2
FILE_BYTES = 1024**2
REPORT_BYTES = 400

# Runs inside the child. The nonce arrives on stdin and leaves only after the last test, so that neither an exit code
# nor output decides; limits are set here because a hook before exec is unsafe in a program with threads.
_CHILD = f"""
import os, resource, sys
for kind, limit in ((resource.RLIMIT_CPU, {CPU_SECONDS}), (resource.RLIMIT_AS, {MEMORY_BYTES}),
                    (resource.RLIMIT_FSIZE, {FILE_BYTES}), (resource.RLIMIT_CORE, 0)):
    resource.setrlimit(kind, (limit, limit + (kind == resource.RLIMIT_CPU)))
def judge(report):
    os.write(report, b"start ")
    nonce, program, tests = sys.stdin.read().split("\\0")
    scope = {{"__name__": "candidate"}}
    try:
        exec(compile(program, "program", "exec"), scope)
        exec(compile(tests, "tests", "exec"), scope)
    except BaseException as error:
        os.write(report, ("error " + type(error).__name__).encode())
    else:
        os.write(report, ("pass " + nonce).encode())
judge(int(sys.argv[1]))
"""


def run_program(program: str, tests: list[str], wall: float = WALL_SECONDS) -> tuple[str, str]:
    """Runs a program and all its tests; gives the verdict and its reason.

    Verdicts: "pass" (every test ran and held), "fail", "timeout" (2 s of CPU, or twice late by the wall clock:
    `wall` seconds, then three times as many) and
    "infra" (the interpreter did not come up within its limits: says nothing about the program).
    """
    if "\0" in program:
        return "fail", "error: SyntaxError"
    for limit in (wall, SECOND_CHANCE * wall):
        verdict = _attempt(program, tests, limit)
        if verdict is not None:
            return verdict
    return "timeout", "timeout"


def _attempt(program: str, tests: list[str], wall: float) -> tuple[str, str] | None:
    """One run: verdict and reason, or None when it was late by the wall clock."""
    nonce = secrets.token_hex(16)
    readable, writable = os.pipe()
    try:
        with tempfile.TemporaryDirectory(prefix="psd-", ignore_cleanup_errors=True) as folder:
            try:
                child = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-B", "-c", _CHILD, str(writable)], cwd=folder, env={}, text=True,
                    encoding="utf-8", errors="replace", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, pass_fds=(writable,), start_new_session=True)
            except OSError as error:
                return "infra", f"error: interpreter did not start ({error})"
            late = _wait(child, "\0".join((nonce, program, "\n".join(tests))), wall)
        os.set_blocking(readable, False)
        try:
            report = os.read(readable, REPORT_BYTES).decode("ascii", "replace")
        except BlockingIOError:
            report = ""
    finally:
        os.close(readable)
        os.close(writable)
    return None if late else _verdict(report, nonce, child.returncode)


def _wait(child: subprocess.Popen[str], text: str, wall: float) -> bool:
    """Feeds the child and waits; decides whether it was late. Its whole group is gone afterwards."""
    try:
        child.communicate(text, timeout=wall)
        return False
    except subprocess.TimeoutExpired:
        return True
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()


def _verdict(report: str, nonce: str, code: int) -> tuple[str, str]:
    if code == -signal.SIGXCPU:
        return "timeout", "timeout"
    if not report.startswith("start "):
        return "infra", f"error: interpreter did not come up (exit {code})"
    report = report.removeprefix("start ")
    if report == f"pass {nonce}":
        return "pass", "ok"
    if report.startswith("error "):
        kind = report.removeprefix("error ")
        return "fail", "wrong" if kind == "AssertionError" else f"error: {kind}"
    return "fail", f"error: stopped before the end of its tests (exit {code})"


def _judge(program: str, completion: str, example: Example) -> Score:
    if not completion.strip():
        return Score(False, None, "no answer")
    verdict, reason = run_program(program, example.meta["tests"])
    return Score(None if verdict == "infra" else verdict == "pass", completion, reason)


def judge_body(completion: str, example: Example) -> Score:
    """Judges a function body: the prompt (signature, docstring) and the completion are one program."""
    return _judge(example.prompt + completion, completion, example)


def judge_function(completion: str, example: Example) -> Score:
    """Judges a whole function on its own; the prompt is not part of the program."""
    return _judge(completion, completion, example)
