"""What the sandbox does on machines that lack something, and for users without privileges."""

import os
import pwd
import subprocess
import sys
import textwrap

import pytest

from psd_lab.paths import ROOT
from psd_lab.sandbox import SandboxUnavailable, Tests, backends, check, check_many, probe, probing

GOOD = "def f(x):\n    return x\n"
TESTS = Tests("assert f(1) == 1\nassert f(2) == 2")


def test_no_backend_means_a_refusal_that_says_why(monkeypatch):
    found = {"bubblewrap": "bwrap is not installed", "landlock": "needs Linux 5.13"}
    monkeypatch.setattr(probing, "probe", lambda: probing.Probe(None, found))
    for call in (lambda: check(GOOD, TESTS), lambda: check_many([])):
        with pytest.raises(
            SandboxUnavailable,
            match=(
                r"bubblewrap: bwrap is not installed; landlock: needs Linux 5\.13.*: install"
                r" bubblewrap"
            ),
        ):
            call()


@pytest.mark.parametrize(
    ("system", "machine", "words"),
    [("darwin", "x86_64", "needs Linux"), ("linux", "aarch64", "x86-64 only, this is aarch64")],
)
def test_foreign_systems_are_refused_without_a_try(monkeypatch, system, machine, words):
    monkeypatch.setattr(probing.sys, "platform", system)
    monkeypatch.setattr(probing.platform, "machine", lambda: machine)
    monkeypatch.setattr(probing, "_examine", lambda name: pytest.fail("tried"))
    result = probing.probe.__wrapped__()
    assert result.backend is None and all(words in what for what in result.found.values())


# Calls that a machine may lack or forbid, as a filter on the whole process: a container that
# forbids namespaces (unshare,
# setns, mount and clone with the flags of namespaces, which bubblewrap uses), a kernel before
# Landlock, and both.
LOCKS = {
    "no-namespaces": ("[165, 272, 308, 435]", "errno.EPERM", {"bubblewrap"}, "landlock"),
    "no-landlock": ("[444, 445, 446]", "errno.ENOSYS", {"landlock"}, "bubblewrap"),
    "neither": (
        "[165, 272, 308, 435, 444, 445, 446]",
        "errno.EPERM",
        {"bubblewrap", "landlock"},
        None,
    ),
    "no-filters": ("[157]", "errno.EINVAL", {"bubblewrap", "landlock"}, None),
}


def locked(numbers, error, code):
    """Runs code in an interpreter on which some system calls are missing."""
    program = textwrap.dedent(f"""
        import errno, sys
        sys.path.insert(0, {str(ROOT / "tests")!r})
        from support.poorer_machine import forbid
        import psd_lab.sandbox as sandbox
        forbid({numbers}, {error})
        {code}
    """)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=300, cwd=ROOT
    )


@pytest.mark.skipif(
    set(probe().found.values()) != {"works"},
    reason=f"NOT TESTED HERE: needs every back-end: {probe()}",
)
@pytest.mark.parametrize("case", LOCKS)
def test_poorer_machines(case):
    numbers, error, broken, chosen = LOCKS[case]
    done = locked(
        numbers,
        error,
        "print(sandbox.probe().backend, *(f'{k}:{v}' for k, v in sandbox.probe().found.items()),"
        " sep='\\n')",
    )
    backend, *found = done.stdout.splitlines()
    assert backend == str(chosen), done
    for line in found:
        name, what = line.split(":", 1)
        assert (what == "works") == (name not in broken), done.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="is tested as an ordinary user anyway")
@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_an_unprivileged_user_can_use_it(backend):
    """Root starts it as somebody else, with an interpreter that everybody may read."""
    if probe().found[backend] != "works":
        pytest.skip(f"NOT TESTED HERE: {backend} {probe().found[backend]}")
    nobody = pwd.getpwnam("nobody")
    code = (
        f"import sys; assert sys.version_info >= (3, 11); sys.path.insert(0, {str(ROOT)!r})\n"
        "from psd_lab.sandbox import *; from psd_lab.sandbox.checking import run\n"
        f"print(run({backend!r}, {GOOD!r}, Tests('assert f(1) == 1'), Limits(cpu=10, wall=60)))"
    )
    start = {
        "user": nobody.pw_uid,
        "group": nobody.pw_gid,
        "extra_groups": [],
        "capture_output": True,
        "text": True,
        "cwd": "/",
        "env": {},
    }
    for python in (backends.interpreter(), "/usr/bin/python3"):
        able = subprocess.run(
            ["/bin/sh", "-c", f"{python} -c '' && test -r {ROOT}/psd_lab/sandbox/__init__.py"],
            **start,
        )
        if (
            able.returncode == 0
            and subprocess.run(
                [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], **start
            ).returncode
            == 0
        ):
            break
    else:
        pytest.skip("NOT TESTED HERE: no interpreter of version 3.11 that other users may read")
    done = subprocess.run([python, "-S", "-B", "-c", code], **start)
    assert "status='pass', reason='ok'" in done.stdout, done
