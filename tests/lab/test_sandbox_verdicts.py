"""Which verdict and reason a check ends with, and when it is tried again."""

import subprocess
import sys
import time

import pytest

from psd_lab.sandbox import (
    Limits,
    Tests,
    Verdict,
    backends,
    check,
    check_many,
    checking,
    host,
    probe,
)

GOOD = "def f(x):\n    return x\n"
TESTS = Tests("assert f(1) == 1\nassert f(2) == 2")
works = pytest.mark.skipif(probe().backend is None, reason=f"NO SANDBOX HERE: {probe()}")


@works
def test_verdict_of_a_check_says_what_it_took():
    verdict = check(GOOD, TESTS)
    assert (verdict.status, verdict.reason, verdict.backend, verdict.correct) == (
        "pass",
        "ok",
        probe().backend,
        True,
    )
    assert 0 <= verdict.cpu < 3 and verdict.wall > 0 and 10**6 < verdict.memory < 10**9


@works
@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("def f(x):\n    return 3\n", "fail", "assert"),
        ("def f(x):\n    raise KeyError('k')\n", "fail", "candidate_raised: KeyError: 'k'"),
        (
            "def f(x):\n    class Own(ValueError): pass\n    raise Own('<b>\\x1b[1m\\n')\n",
            "fail",
            "candidate_raised: Own: <b>?[1m?",
        ),
        (
            "def f(x):\n    return x + 'a'\n",
            "fail",
            "candidate_raised: TypeError: unsupported operand type(s) for +: 'int' and 'str'",
        ),
        ("1 / 0", "fail", "load_error: ZeroDivisionError: division by zero"),
        ("x = 1", "fail", "test_raised: NameError: name 'f' is not defined"),
        ("import os\ndef f(x):\n    os._exit(7)\n", "fail", "exit 7"),
        ("import os\nos.abort()", "fail", "signal 6"),
        ("import ctypes\nctypes.string_at(1)", "fail", "signal 11"),
        ("open('/nowhere/file', 'w')", "fail", "load_error: FileNotFoundError"),
        ("import os\nos.fork()", "fail", "sandbox_denied: PermissionError"),
        ("import tempfile\ntempfile.mkdtemp()", "fail", ""),
    ],
    ids=[
        "assert",
        "raised",
        "own error",
        "type error",
        "load",
        "no name",
        "exit",
        "abort",
        "crash",
        "missing file",
        "denied",
        "no temporary files",
    ],
)
def test_reasons(code, status, reason):
    verdict = check(code, TESTS, Limits(cpu=5, wall=60))
    assert verdict.status == status and verdict.reason.startswith(reason), verdict


@works
def test_message_of_an_assert_is_kept():
    assert (
        check("def f(x): return 3", Tests("assert f(1) == 1, 'one\\nstays'")).reason
        == "assert: one?stays"
    )


@works
def test_tests_that_hand_over_functions_are_unsupported_and_no_zero():
    verdict = check("def f(g): return g(1)", Tests("assert f(lambda x: x) == 1"))
    assert (verdict.status, verdict.correct) == ("infra", None) and verdict.reason.startswith(
        "unsupported_test"
    )


@works
def test_cpu_limit_decides_before_the_wall_clock():
    verdict = check("while True: pass", TESTS, Limits(cpu=1, wall=90))
    assert (verdict.status, verdict.reason) == ("timeout", "cpu") and 0.9 <= verdict.cpu < 1.5


@works
def test_work_in_the_tests_is_limited_too():
    """Data on which comparing takes for ever, in the process that holds the tests."""
    verdict = check(
        "def f(): return [n * (2 ** 61 - 1) for n in range(60000)]",
        Tests("assert len(set(f())) == 1"),
        Limits(cpu=1, wall=300),
    )
    assert (verdict.status, verdict.reason) == ("timeout", "cpu: in the tests")


@works
def test_a_late_check_runs_once_more_and_alone(monkeypatch):
    """A busy machine must not turn a right program into a wrong one."""
    calls, running, most = [], [], []

    def attempt(backend, code, tests, limits, packages):
        calls.append(code)
        running.append(code)
        most.append((code, len(running)))
        time.sleep(0.05)
        running.remove(code)
        late = code == "late" and calls.count("late") == 1
        return Verdict(
            "timeout" if late else "pass", "wall" if late else "ok", 0.0, 0.0, None, backend
        )

    monkeypatch.setattr(checking, "attempt", attempt)
    codes = ["late", *"abcdef"]
    assert [
        verdict.status for verdict in check_many([(code, TESTS) for code in codes], workers=3)
    ] == ["pass"] * 7
    assert calls.count("late") == 2
    assert [count for code, count in most if code == "late"][1] == 1


ENDINGS = {
    "late": ("timeout", "wall"),
    "infra": ("infra", "no verdict (exit 1)"),
    "unsupported": ("infra", "unsupported_test: x"),
    "busy": ("timeout", "cpu"),
    "pass": ("pass", "ok"),
    "fail": ("fail", "assert"),
}


@works
@pytest.mark.parametrize(
    ("endings", "attempts"),
    [
        ("infra pass", 2),
        ("infra infra", 2),
        ("late late", 2),
        ("late fail", 2),
        ("late infra pass", 3),
        ("late infra infra", 3),
        ("late infra late", 3),
        ("infra late infra", 3),
        ("infra late late", 3),
        ("infra late pass", 3),
        ("unsupported", 1),
        ("busy", 1),
        ("fail", 1),
        ("pass", 1),
    ],
)
def test_a_verdict_that_may_be_the_machines_fault_needs_two_of_its_kind(
    monkeypatch, endings, attempts
):
    left = [ENDINGS[name] for name in endings.split()]
    last = left[-1]
    monkeypatch.setattr(
        checking, "attempt", lambda *_: Verdict(*left.pop(0), 0.0, 0.0, None, "landlock")
    )
    verdict = check(GOOD, TESTS)
    assert (verdict.status, verdict.reason) == last
    assert attempts == len(endings.split()) and not left


@pytest.mark.thorough
@works
def test_busy_neighbours_do_not_hide_that_the_limit_was_reached():
    """The kernel's clock for the limit runs ahead of the exact one while others compete."""
    burn = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(burn) for _ in range(6)]
    try:
        for _ in range(3):
            verdict = check("while True: pass", TESTS, Limits(cpu=1, wall=120))
            assert (verdict.status, verdict.reason) == ("timeout", "cpu"), verdict
    finally:
        for other in others:
            other.kill()
            other.wait()


@works
@pytest.mark.parametrize(
    "code",
    [
        "import numpy",
        "def f(x):\n    import numpy.linalg as la\n    return x",
        "from numpy import array",
        "def f(x):\n    __import__('numpy')",
    ],
)
def test_an_import_of_what_is_not_there_has_a_reason_of_its_own(code):
    verdict = check(code, TESTS)
    assert (verdict.status, verdict.reason) == ("fail", "unsupported import: numpy")


@works
def test_tests_that_read_from_the_terminal_do_not_wait():
    verdict = check(GOOD, Tests("assert f(1) == 1\ninput()"))
    assert verdict.reason.startswith("test_raised: EOFError")


@works
def test_tests_that_need_what_is_not_there_are_unsupported_and_no_zero():
    verdict = check(GOOD, Tests("import numpy\nassert f(1) == 1"))
    assert (verdict.status, verdict.reason) == (
        "infra",
        "unsupported_test: the tests need the module numpy",
    )


@works
def test_an_interpreter_that_does_not_start_is_infra(monkeypatch):
    monkeypatch.setattr(backends, "interpreter", lambda: "/bin/false")
    verdict = checking.run(probe().backend, GOOD, TESTS, Limits())
    assert verdict.status == "infra" and verdict.reason.startswith("no verdict (exit ")
    monkeypatch.setattr(host.backends, "command", lambda *_: ["/nonexistent/program"])
    assert check(GOOD, TESTS).reason.startswith("not started")
