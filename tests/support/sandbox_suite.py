"""The suite that every back-end has to withstand; `test_sandbox_<back-end>.py` runs it, so that
back-ends run side by side.

No hostile completion passes or hurts, and every honest one passes.
"""

import os
import resource
import socket
import time
from pathlib import Path

import pytest

from psd_lab.sandbox import Limits, Tests, probe
from psd_lab.sandbox.checking import run
from support.sandbox_cases import (
    HONEST,
    HONEST_CASES,
    HOSTILE_CASES,
    filled,
    hostile_limits,
    tests_of,
)

# Beside two attempts up to the wall limit: starting, ending, and waiting for the processor.
SLACK_SECONDS = 20
LARGEST_GROWTH = 200 * 1024**2


def backend_fixture(name):
    """The fixture `backend` of a test file: the name, or a loud skip where that back-end does not
    work.
    """

    @pytest.fixture(scope="module")
    def backend():
        found = probe().found[name]
        if found != "works":
            pytest.skip(f"NOT TESTED HERE: {name} {found}")
        return name

    return backend


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """Things of the user that an attack may look for: a secret file, a folder, a secret in the
    environment, a listener.
    """
    folder = tmp_path_factory.mktemp("user")
    secret = folder / "secret"
    secret.write_text("psd secret")
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    os.environ["PSD_TEST_SECRET"] = "psd secret"
    yield {
        "SECRET": str(secret),
        "FOLDER": str(folder),
        "TESTS": str(Path(__file__).parent),
        "PID": os.getpid(),
        "PORT": listener.getsockname()[1],
    }
    del os.environ["PSD_TEST_SECRET"]
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.close()


def orphans():
    """Processes of a sandbox whose parent is gone."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and b"inside.start" in (entry / "cmdline").read_bytes():
                state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
                if parent == "1" and state != "Z":
                    found.append(entry.name)
        except OSError:
            pass
    return found


def lasting_orphans():
    """Orphans that are still there after a while: those of checks that run beside this one are on
    their way out.
    """
    deadline = time.monotonic() + 10
    lasting = set(orphans())
    while lasting and time.monotonic() < deadline:
        time.sleep(0.2)
        lasting &= set(orphans())
    return lasting


@pytest.mark.parametrize("case", HOSTILE_CASES)
def test_hostile(case, backend, facts):
    """Not a pass, not an infrastructure failure that would hide it, in bounded time, and nothing of
    the user is touched.
    """
    attack = HOSTILE_CASES[case]
    limits = hostile_limits(attack)
    user = Path(facts["FOLDER"])
    before = (user / "secret").stat()
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    verdict = run(backend, filled(attack["code"], facts), tests_of(attack, facts), limits)
    assert verdict.status in attack.get("accept", ("fail", "timeout")), verdict
    assert time.monotonic() - start < 2 * limits.wall_seconds + SLACK_SECONDS
    if "reason" in attack and verdict.reason != "wall":
        assert verdict.reason.startswith(attack["reason"]) or (
            attack["reason"] == "sandbox_denied" and "FileNotFoundError" in verdict.reason
        ), verdict
    assert verdict.reason.isascii() and verdict.reason.isprintable() and len(verdict.reason) <= 400
    after = (user / "secret").stat()
    assert os.listdir(user) == ["secret"] and (user / "secret").read_text() == "psd secret"
    assert [
        getattr(after, key) for key in ("st_mode", "st_uid", "st_mtime_ns", "st_size", "st_nlink")
    ] == [
        getattr(before, key) for key in ("st_mode", "st_uid", "st_mtime_ns", "st_size", "st_nlink")
    ]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size) * 1024 < LARGEST_GROWTH
    assert not lasting_orphans()
    for place in ("/tmp/psd-attack-file", "/dev/shm/psd-attack-file", "/dev/shm/psd-attack"):
        assert not os.path.exists(place)


@pytest.mark.parametrize("case", HONEST_CASES)
def test_honest(case, backend, facts):
    honest = HONEST_CASES[case]
    verdict = run(backend, honest["code"], tests_of(honest, facts), HONEST)
    assert (verdict.status, verdict.reason) == ("pass", "ok"), verdict


REFUSED = {
    "fork": 57,
    "vfork": 58,
    "execve": 59,
    "kill": 62,
    "socket": 41,
    "socketpair": 53,
    "shmget": 29,
    "msgget": 68,
    "ptrace": 101,
    "setuid": 105,
    "setsid": 112,
    "personality": 135,
    "setrlimit": 160,
    "chroot": 161,
    "mount": 165,
    "init_module": 175,
    "tkill": 200,
    "io_setup": 206,
    "timer_create": 222,
    "mq_open": 240,
    "keyctl": 250,
    "unshare": 272,
    "inotify_init": 253,
    "perf_event_open": 298,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "setns": 308,
    "seccomp": 317,
    "memfd_create": 319,
    "bpf": 321,
    "execveat": 322,
    "userfaultfd": 323,
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "fsopen": 430,
    "pidfd_open": 434,
    "clone3": 435,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "landlock_create_ruleset": 444,
    "memfd_secret": 447,
}


def test_dangerous_system_calls_do_not_reach_the_kernel(backend):
    """EPERM (1) or ENOSYS (38) before any argument is looked at: the kernel itself would complain
    of the arguments.
    """
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\ndef f(number):\n    result ="
        " libc.syscall(number, -1, -1, -1, -1, -1, -1)\n    return ctypes.get_errno() if result < 0"
        " else 0"
    )
    tests = (
        f"calls = {REFUSED!r}\nopen_ones = [name for name, number in calls.items() if f(number) not"
        " in (1, 38)]\nassert not open_ones, open_ones"
    )
    verdict = run(backend, code, Tests(tests), HONEST)
    assert (verdict.status, verdict.reason) == ("pass", "ok"), verdict


def test_the_whole_library_imports(backend):
    """A filter that is too narrow shows first in imports; some modules need what no sandbox gives,
    or a system that this is not.
    """
    code = (
        "import importlib, sys\nskip = ('antigravity', 'this', 'idlelib', 'turtle', 'tkinter',"
        " 'test', 'ensurepip', 'lib2to3', 'venv', '__main__')\ndef failing():\n    bad = {}\n   "
        " for name in sorted(sys.stdlib_module_names):\n        if name.startswith('_') or name in"
        " skip: continue\n        try: importlib.import_module(name)\n        except BaseException"
        " as error: bad[name] = type(error).__name__\n    return bad"
    )
    windows = {
        "msilib",
        "msvcrt",
        "nt",
        "winreg",
        "winsound",
        "ossaudiodev",
        "spwd",
        "crypt",
        "turtledemo",
    }
    tests = (
        "bad = {name: error for name, error in failing().items() if name not in"
        f" {sorted(windows)!r} and error != 'ModuleNotFoundError'}}\nassert not bad, bad"
    )
    verdict = run(backend, code, Tests(tests), Limits(cpu=60, wall=240))
    assert (verdict.status, verdict.reason) == ("pass", "ok"), verdict
