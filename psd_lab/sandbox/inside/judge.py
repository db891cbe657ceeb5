"""The process that holds tests, expected values and nonce.

It runs the tests against stand-ins and writes the verdict.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from . import plain
from .channel import CandidateExit, Channel, Gone, UnsupportedTest

if TYPE_CHECKING:
    from typing import Any

# CPU time that the judge may use beyond the candidate's limit, for decoding and comparing.
SPARE_SECONDS = 1
# How long an ended candidate may take to be seen as ended, on a busy machine.
FAREWELL_SECONDS = 2.0
# A pass beyond this share of the limit has ignored the kernel's signal.
MOST_OF_LIMIT = 1.1

Outcome = tuple[str, str]


class Judge:
    """Runs one check after the fork.

    Args:
        child: Process of the candidate.
        answers: Pipe end to read from.
        questions: Pipe end to write to.
        verdict: Descriptor that the one frame of the verdict goes to.
        cpu: The candidate's limit in seconds.
    """

    def __init__(self, child: int, answers: int, questions: int, verdict: int, cpu: int) -> None:
        self.child, self.verdict, self.cpu = child, verdict, cpu
        self.channel = Channel(answers, questions)
        self.usage: Any = None
        self.status: int | None = None
        self.waited = False

    def run(self) -> None:
        """Wait for the code to load, then read the tests, run them and report with the nonce."""
        tests = plain.receive(0)
        os.dup2(2, 0)  # the null device: tests that read from the terminal must not wait for it
        try:
            status, reason = self._decide(tests)
        except BaseException as error:
            status, reason = "infra", f"judge: {type(error).__name__}: {plain.clean(error)}"
        self._await_child()
        if status in ("pass", "fail") and self._out_of_cpu(status):
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
        """Decide which verdict an exception of the tests means."""
        if isinstance(error, Gone):
            self._await_child()
            return "fail", self._ending()
        if isinstance(error, plain.ProtocolError):
            return "fail", f"protocol: {plain.clean(error)}"
        if isinstance(error, UnsupportedTest):
            return "infra", f"unsupported_test: {plain.clean(error)}"
        if error is self.channel.raised or isinstance(error, CandidateExit):
            return "fail", self._reason("candidate_raised")
        if isinstance(error, ModuleNotFoundError) and error.name:
            return "infra", f"unsupported_test: the tests need the module {plain.clean(error.name)}"
        if isinstance(error, AssertionError):
            return "fail", ": ".join(("assert", *filter(None, (plain.clean(error), self._hint()))))
        return "fail", f"test_raised: {type(error).__name__}: {plain.clean(error)}"

    def _hint(self) -> str:
        """Explain a comparison that cannot hold here although it may in plain Python."""
        name = self.channel.incomparable
        return f"objects of the candidate ({name}) never equal data" if name else ""

    def _reason(self, kind: str) -> str:
        if self.channel.missing:
            return f"unsupported import: {self.channel.missing}"
        if self.channel.refused:
            kind = "sandbox_denied"
        return f"{kind}: {self.channel.error_text}"

    def _ending(self) -> str:
        if self.status is None:
            return "protocol: the candidate closed its pipe"
        if os.WIFSIGNALED(self.status):
            return f"signal {os.WTERMSIG(self.status)}"
        return f"exit {os.WEXITSTATUS(self.status)}"

    def _out_of_cpu(self, status: str) -> bool:
        """Check whether the candidate ran into its limit, or passed beyond it.

        The kernel counts in ticks when it enforces the limit, and exactly when it reports the
        usage: on a busy machine the usage of a process that was ended for it can be well below the
        limit. The signal therefore decides; SIGKILL, which code that ignores SIGXCPU gets a second
        later, may have other causes.
        """
        if self.usage is None or self.status is None:
            return False
        used = self.usage.ru_utime + self.usage.ru_stime
        if status == "pass":
            return used > MOST_OF_LIMIT * self.cpu
        ended_by = os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else None
        return ended_by == signal.SIGXCPU or (ended_by == signal.SIGKILL and used >= self.cpu / 2)

    def _await_child(self) -> None:
        """Close the pipe, which ends an honest candidate, and wait for its end.

        The host ends the others.
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
