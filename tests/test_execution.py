"""Running programs with their tests: every kind of bad program gets its verdict and leaves nothing behind."""

import os
import time

import pytest

from psd_lib import tasks
from psd_lib.tasks import Example, execution
from psd_lib.tasks.execution import CPU_SECONDS, SECOND_CHANCE, run_program

TESTS = ["assert f(1) == 1", "assert f(2) == 2"]
GOOD = "def f(x):\n    return x\n"

VERDICTS = {
    "right": (GOOD, "pass", "ok"),
    "wrong": ("def f(x):\n    return 3\n", "fail", "wrong"),
    "right on the first test only": ("def f(x):\n    return 1\n", "fail", "wrong"),
    "no function": ("x = 1\n", "fail", "error: NameError"),
    "does not parse": ("def f(x:\n", "fail", "error: SyntaxError"),
    "null byte": (GOOD + "\0", "fail", "error: SyntaxError"),
    "raises": ("def f(x):\n    raise KeyError(x)\n", "fail", "error: KeyError"),
    "endless recursion": ("def f(x):\n    return f(x)\n", "fail", "error: RecursionError"),
    "needs too much memory": ("def f(x):\n    return [x] * 10 ** 9\n", "fail", "error: MemoryError"),
    "writes too large a file": ("def f(x):\n    open('a', 'w').write('x' * 10 ** 7)\n    return x\n", "fail", "error: OSError"),
    "leaves with status 0": ("import sys\nsys.exit(0)\n", "fail", "error: SystemExit"),
    "drops out with status 0": ("import os\ndef f(x):\n    os._exit(0)\n", "fail", "error: stopped before the end of its tests (exit 0)"),
    "kills itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "fail", "error: stopped before the end of its tests (exit -9)"),
    "says pass itself": ("import os\nfor d in range(3, 20):\n    try:\n        os.write(d, b'pass 0')\n    except OSError:\n        pass\nos._exit(0)\n",
                         "fail", "error: stopped before the end of its tests (exit 0)"),
    "half a character": ("def f(x):\n    return '\ud800'\n", "fail", "wrong"),
    "reads standard input": ("import sys\ndef f(x):\n    return x + len(sys.stdin.read())\n", "pass", "ok"),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdict(case):
    program, verdict, reason = VERDICTS[case]
    assert run_program(program, TESTS) == (verdict, reason)


@pytest.mark.parametrize("program", [
    "while True:\n    pass\n",
    "import time\ntime.sleep(60)\n",
    "def f(x):\n    while True:\n        try:\n            pass\n        except BaseException:\n            pass\n",
    "while True:\n    print('x' * 1000)\n",
], ids=["busy", "asleep", "busy in the function", "floods its output"])
def test_hanging_program_is_stopped_in_time(program):
    start = time.monotonic()
    assert run_program(program, TESTS, wall=0.5) == ("timeout", "timeout")
    assert 0.5 * (1 + SECOND_CHANCE) <= time.monotonic() - start < 6


def test_cpu_limit_decides_before_the_wall_clock():
    start = time.monotonic()
    assert run_program("while True:\n    pass\n", TESTS, wall=60.0) == ("timeout", "timeout")
    assert time.monotonic() - start >= CPU_SECONDS


def test_a_run_that_was_late_once_gets_a_second_chance(tmp_path):
    """A busy machine must not turn a right program into a wrong one."""
    note = tmp_path / "seen"
    program = f"import os, time\nif not os.path.exists({str(note)!r}):\n    open({str(note)!r}, 'w').close()\n    time.sleep(60)\n{GOOD}"
    assert run_program(program, TESTS, wall=1.0) == ("pass", "ok")


def test_children_of_the_program_are_gone_afterwards(tmp_path):
    note = tmp_path / "pid"
    program = (f"import os, time\nchild = os.fork()\nif not child:\n    time.sleep(60)\n"
               f"open({str(note)!r}, 'w').write(str(child))\n{GOOD}")
    assert run_program(program, TESTS)[0] == "pass"
    child, deadline = int(note.read_text()), time.monotonic() + 5
    while time.monotonic() < deadline and _alive(child):
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_program_sees_no_environment_and_works_in_an_empty_folder(monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_USER", "1")
    program = "import os\ndef f(x):\n    return sorted(os.environ.keys() - {'LC_CTYPE'}) + os.listdir('.')\n"
    assert run_program(program, ["assert f(0) == [], f(0)"]) == ("pass", "ok")
    assert run_program("import os\ndef f(x):\n    return os.getcwd()\n", [f"assert f(0) != {os.getcwd()!r}"])[0] == "pass"


def test_an_interpreter_that_does_not_start_is_never_a_zero(monkeypatch):
    item = Example("x", "def f(x):\n", "    return x\n", {"tests": TESTS})
    for interpreter in ("/nonexistent/python", "/bin/false"):
        monkeypatch.setattr(execution.sys, "executable", interpreter)
        score = tasks.get("mini-humaneval").score("    return x\n", item)
        assert score.correct is None and score.reason.startswith("error: interpreter did not")


def test_nothing_is_no_answer():
    for name in ("mini-humaneval", "mini-mbpp"):
        item = tasks.get(name).load("test", 1)[0]
        for completion in ("", " \n"):
            score = tasks.get(name).score(completion, item)
            assert (score.correct, score.answer, score.reason) == (False, None, "no answer")


def test_hidden_tests_count_beside_the_visible_ones():
    """A function that knows only the two visible asserts fails."""
    item = next(e for e in tasks.get("mini-mbpp").load("test") if "(xs)" in e.reference)
    visible = [line for line in item.prompt.splitlines() if line.startswith("assert ")]
    assert visible == item.meta["tests"][:2] and len(item.meta["tests"]) == 8
    name = item.reference.split("(")[0].removeprefix("def ")
    calls = [line.removeprefix(f"assert {name}(").split(") == ") for line in visible]
    cheat = f"def {name}(xs):\n" + "".join(f"    if xs == {given}:\n        return {out}\n" for given, out in calls)
    assert run_program(cheat, visible) == ("pass", "ok")
    assert tasks.get("mini-mbpp").score(cheat, item).reason == "wrong"


def test_scores_keep_the_order_of_their_pairs():
    task = tasks.get("mini-humaneval")
    items = task.load("test", 6)
    completions = [e.reference if number % 2 else "    return None\n" for number, e in enumerate(items)]
    scores = task.score_many(zip(completions, items, strict=True), workers=3)
    assert [score.correct for score in scores] == [False, True] * 3
