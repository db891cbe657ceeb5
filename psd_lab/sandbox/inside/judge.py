"""The process that holds tests, expected values and nonce, runs the tests against stand-ins and
writes the verdict.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from . import plain
from .remote import CandidateExit, Channel, Gone, UnsupportedTest

if TYPE_CHECKING:
    from typing import Any

# CPU time that the judge may use beyond the candidate's limit, for decoding and comparing.
SPARE_SECONDS = 1
# How long an ended candidate may take to be seen as ended.
FAREWELL_SECONDS = 0.5

Outcome = tuple[str, str]


class Judge:
    """Runs one check after the fork.

    child: process of the candidate; answers, questions: pipe ends; verdict: where the one frame of
    the verdict goes; cpu: the candidate's limit in seconds.
    """

    def __init__(self, child: int, answers: int, questions: int, verdict: int, cpu: int) -> None:
        self.child, self.verdict, self.cpu = child, verdict, cpu
        self.channel = Channel(answers, questions)
        self.usage: Any = None
        self.status: int | None = None
        self.waited = False

    def run(self) -> None:
        """Waits for the code to load, then reads the tests, runs them and reports with the nonce."""
        tests = plain.receive(0)
        try:
            status, reason = self._decide(tests)
        except BaseException as error:
            status, reason = "infra", f"judge: {type(error).__name__}: {plain.clean(error)}"
        self._await_child()
        if self.usage is not None and status == "fail" and self._out_of_cpu():
            status, reason = "timeout", "cpu"
        plain.send(
            self.verdict,
            {
                "nonce": tests["nonce"],
                "status": status,
                "reason": plain.clean(reason),
                "cpu": self.usage.ru_utime + self.usage.ru_stime if self.usage else 0.0,
                "memory": self.usage.ru_maxrss * 1024 if self.usage else None,
            },
        )
        os._exit(0)

    def _decide(self, tests: dict) -> Outcome:
        try:
            if self.channel.receive() != "ready":
                return "infra", "candidate did not start"
        except Gone:
            return "infra", "candidate did not start"
        try:
            loaded = self.channel.receive()
            if type(loaded) is dict and "error" in loaded:
                self.channel.exception(loaded["error"])
                return "fail", self._reason("load_error")
            if loaded != {"loaded": True}:
                return "fail", "protocol: malformed greeting"
            self._run_tests(tests)
        except BaseException as error:
            return self._outcome(self.channel.broken or error)
        return self._outcome(self.channel.broken) if self.channel.broken else ("pass", "ok")

    def _run_tests(self, tests: dict) -> None:
        scope: dict[str, Any] = {"__name__": "tests"}
        for module in tests["modules"]:
            scope[module] = __import__(module)
        for name in tests["names"]:
            defined, value = self.channel.name(name)
            if defined:
                scope[name] = value
        exec(compile(tests["prelude"], "prelude", "exec", dont_inherit=True), scope)
        if tests["check"]:
            defined, value = self.channel.name(tests["check"])
            if not defined:
                raise self.channel.exception(
                    ["NameError", "NameError", f"name '{tests['check']}' is not defined", False]
                )
            scope[tests["check"]] = value
            exec(compile(tests["source"], "tests", "exec", dont_inherit=True), scope)
            scope["check"](value)
        else:
            exec(compile(tests["source"], "tests", "exec", dont_inherit=True), scope)

    def _outcome(self, error: BaseException) -> Outcome:
        """The verdict that an exception of the tests means."""
        if isinstance(error, Gone):
            self._await_child()
            return "fail", self._ending()
        if isinstance(error, plain.ProtocolError):
            return "fail", f"protocol: {plain.clean(error)}"
        if isinstance(error, UnsupportedTest):
            return "infra", f"unsupported_test: {plain.clean(error)}"
        if error is self.channel.raised or isinstance(error, CandidateExit):
            return "fail", self._reason("candidate_raised")
        if isinstance(error, AssertionError):
            text = plain.clean(error)
            return "fail", f"assert: {text}" if text else "assert"
        return "fail", f"test_raised: {type(error).__name__}: {plain.clean(error)}"

    def _reason(self, kind: str) -> str:
        if self.channel.refused:
            kind = "sandbox_denied"
        return f"{kind}: {self.channel.error_text}"

    def _ending(self) -> str:
        if self.status is None:
            return "protocol: the candidate closed its pipe"
        if os.WIFSIGNALED(self.status):
            return f"signal {os.WTERMSIG(self.status)}"
        return f"exit {os.WEXITSTATUS(self.status)}"

    def _out_of_cpu(self) -> bool:
        """Whether the candidate was killed at its limit: the kernel acts within a few milliseconds
        of it.
        """
        used = self.usage.ru_utime + self.usage.ru_stime
        return self.status is not None and os.WIFSIGNALED(self.status) and used >= self.cpu - 0.1

    def _await_child(self) -> None:
        """Closes the pipe, which ends an honest candidate, and waits for it a little; the host ends
        the others.
        """
        if self.waited:
            return
        self.waited = True
        os.close(self.channel.questions)
        deadline, pause = time.monotonic() + FAREWELL_SECONDS, 0.0005
        while time.monotonic() < deadline:
            pid, status, usage = os.wait4(self.child, os.WNOHANG)
            if pid:
                self.status, self.usage = status, usage
                return
            time.sleep(pause)
            pause = min(2 * pause, 0.02)
