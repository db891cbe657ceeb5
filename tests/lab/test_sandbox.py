"""The entry points of the sandbox: verdicts, limits, second chances, order and refusals."""

import os
import threading

import pytest

from psd_lab import sandbox
from psd_lab.sandbox import (
    Limits,
    Tests,
    UnsafeExecution,
    check,
    check_many,
    probe,
)
from psd_lib.errors import UserError

GOOD = "def f(x):\n    return x\n"
TESTS = Tests("assert f(1) == 1\nassert f(2) == 2")
works = pytest.mark.skipif(probe().backend is None, reason=f"NO SANDBOX HERE: {probe()}")


@works
def test_installed_packages_are_importable_when_allowed_and_only_these():
    limits = Limits(cpu=10, wall=90)
    code = "import numpy as np\ndef f(x):\n    return np.arange(x + 1).sum()\n"
    tests = Tests("assert f(3) == 6 and type(f(3)) is int")
    assert check(code, tests, limits, packages=["numpy"]).status == "pass"
    assert check(code, tests, limits, packages=["json"]).reason == "unsupported import: numpy"
    assert [v.status for v in check_many([(code, tests)], limits, packages=["numpy"])] == ["pass"]
    neighbour = "import numpy, os\nprint(os.listdir(os.path.dirname(numpy.__path__[0])))"
    denied = check(neighbour, TESTS, limits, packages=["numpy"])
    assert denied.status == "fail"
    assert denied.reason.startswith(("sandbox_denied: PermissionError", "test_raised: NameError"))
    assert check("import yaml", TESTS, limits, packages=["numpy"]).reason == (
        "unsupported import: yaml"
    )


@works
def test_many_keep_their_order_and_are_drawn_as_needed():
    drawn = []

    def pairs():
        for number in range(10**9):
            drawn.append(number)
            yield (
                f"def f(x): return {number}",
                Tests(f"assert f(0) == {number if number % 2 else -1}"),
            )

    verdicts = check_many(pairs(), workers=2)
    assert [next(verdicts).status for _ in range(5)] == ["fail", "pass", "fail", "pass", "fail"]
    verdicts.close()
    assert len(drawn) < 20


@works
def test_a_task_may_be_a_mapping():
    task = {
        "source": "def check(candidate):\n    assert candidate(2) == helper(2)",
        "entry_point": "f",
        "prelude": "def helper(x): return x",
    }
    assert check(GOOD, task).status == "pass"
    assert check(GOOD, {"source": "assert f(1) == 1", "entry_point": "f"}).status == "pass"
    assert (
        check(
            "def sum(x): return x", {"source": "assert sum(3) == max(3, 2)", "entry_point": "sum"}
        ).status
        == "pass"
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check(3, TESTS), "code must be a text"),
        (lambda: check(GOOD, "assert f(1)"), "task must be Tests"),
        (lambda: check(GOOD, {"test": "assert f(1)"}), "needs the key source"),
        (lambda: check(GOOD, Tests("assert f(1) ==")), "not a Python program"),
        (lambda: check(GOOD, Tests("# nothing")), "tests are empty"),
        (lambda: check(GOOD, Tests("assert f(1)", "not a name")), "entry_point must be"),
        (lambda: check(GOOD, Tests(None)), "must be texts"),
        (lambda: check(GOOD, TESTS, 3), "limits must be Limits"),
        (lambda: Limits(cpu=0), "cpu must be a positive"),
        (lambda: Limits(wall=float("nan")), "wall must be a positive"),
        (lambda: Limits(memory=1000), "memory must be at least"),
        (lambda: Limits(memory=10**30), "memory must be at least"),
        (lambda: Limits(cpu=True), "cpu must be a positive"),
        (lambda: Limits(cpu=1e300), r"at most 86400 \(a day\)"),
        (lambda: Limits(wall=10**30), r"at most 86400 \(a day\)"),
        (lambda: check(GOOD, Tests("assert f(1)", "class")), "entry_point must be"),
        (lambda: check(GOOD, {"source": "assert f(1)", "prelude": 0}), "must be texts"),
        (lambda: check(GOOD, Tests("assert " + "-" * 200_000 + "1")), "not a Python program"),
        (lambda: check(GOOD, TESTS, allow_unsafe="no"), "allow_unsafe must be True or False"),
        (lambda: check_many([], allow_unsafe=1), "allow_unsafe must be True or False"),
        (lambda: check_many(3), "pairs must be pairs of code and tests"),
        (lambda: list(check_many([3])), "each pair must be code and its tests"),
        (lambda: list(check_many([(GOOD, TESTS, 3)])), "each pair must be code and its tests"),
        (lambda: check_many([], limits=3), "limits must be Limits"),
        (lambda: check_many([], workers=10**6), "at most 1024"),
        (lambda: check_many([], workers=0), "workers must be"),
        (lambda: check_many([], workers=True), "workers must be"),
        (lambda: check(GOOD, TESTS, packages="numpy"), "packages must be a list of names"),
        (lambda: check(GOOD, TESTS, packages=[3]), "packages must be a list of names"),
        (lambda: check(GOOD, TESTS, packages=3), "packages must be a list of names"),
        (lambda: check(GOOD, TESTS, packages=["nowhere_at_all"]), "is not installed here"),
        (lambda: check_many([], packages=["../x"]), "is not installed here"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(UserError, match=words) as caught:
        call()
    assert str(caught.value).count(". ") == 0


def test_without_isolation_only_when_asked_and_loudly_each_time():
    for _ in range(2):
        with pytest.warns(UnsafeExecution, match="without isolation"):
            verdict = check(GOOD, TESTS, allow_unsafe=True)
        assert (verdict.status, verdict.backend) == ("pass", "none")
    with pytest.warns(UnsafeExecution):
        assert [v.backend for v in check_many([(GOOD, TESTS)], allow_unsafe=True)] == ["none"]


@works
def test_checks_from_many_threads_leave_no_descriptors_behind():
    check(GOOD, TESTS)
    before = len(os.listdir("/proc/self/fd"))
    threads = [threading.Thread(target=lambda: check(GOOD, TESTS)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(os.listdir("/proc/self/fd")) == before


@works
def test_speed_has_a_floor():
    """At least 20 checks/s on 2 idle cores means at most 100 ms of CPU per check; a busy machine
    adds to it.
    """
    from psd_lab.sandbox.bench import measure

    backend = "landlock" if probe().found["landlock"] == "works" else probe().backend
    row = measure(backend, "trivial", 6, 2)
    assert row["passed"] == 6 and (row["cpu_ms"] is None or row["cpu_ms"] < 100)


def test_the_doors_are_named():
    assert {
        "check",
        "check_many",
        "probe",
        "Tests",
        "Limits",
        "Verdict",
        "SandboxUnavailable",
    } <= set(sandbox.__all__)
