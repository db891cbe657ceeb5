"""How one interpreter is started under each back-end.

Command line, environment, and what it may read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from psd_lab.sandbox.inside import landlock, start

# In order of preference.
BACKENDS = ("bubblewrap", "landlock")
NONE = "none"
ENVIRONMENT = {"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "TZ": "UTC"}
INSIDE = Path(start.__file__).resolve().parent
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[2]); from inside.start import main; del sys.path[0];"
    " main(int(sys.argv[1]))"
)
# When memory runs out, the kernel should take this process first. Written before anything is
# confined or forked.
_FIRST_TO_GO = 'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec "$@"'


@cache
def interpreter() -> str:
    """Find the bare interpreter behind a possible virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


@cache
def readable() -> list[str]:
    """List what the interpreter needs: its executable, its libraries, and this package's inside."""
    paths = [
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
        "/etc/ld.so.cache",
        interpreter(),
        str(INSIDE),
        sysconfig.get_config_var("LIBDIR"),
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        sysconfig.get_config_var("DESTSHARED"),
    ]
    return sorted({path for path in paths if path and os.path.exists(path)})


def command(backend: str, verdict: int, more: Sequence[str] = ()) -> list[str]:
    """Build the command line that starts a check.

    `verdict` is the descriptor that it inherits for its verdict; `more` is what it may read beside
    `readable()`.
    """
    python = [interpreter(), "-s", "-S", "-P", "-B", "-c", _BOOT, str(verdict), str(INSIDE.parent)]
    if backend == NONE:
        return python
    prefix = _bubblewrap(more) if backend == "bubblewrap" else []
    return ["/bin/sh", "-c", _FIRST_TO_GO, "sh", *prefix, *python]


def _bubblewrap(more: Sequence[str]) -> list[str]:
    """Every namespace of its own, nothing but `readable()` and `more` in it, nothing writable.

    Without /proc the environment of bubblewrap itself cannot be read; its root file system is
    writable and in memory until it is remounted; device nodes are bound one by one because /dev/shm
    would be writable, too.
    """
    command = _bubblewrap_program()
    for path in (*readable(), *more):
        command += ["--ro-bind", path, path]
    for device in landlock.DEVICES:
        command += ["--dev-bind", device, device]
    return [*command, "--remount-ro", "/", "--chdir", "/", "--"]


def _bubblewrap_program() -> list[str]:
    program, options = _bubblewrap_found()
    return [
        program,
        "--unshare-user",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        *options,
    ]


@cache
def _bubblewrap_found() -> tuple[str, tuple[str, ...]]:
    """Find the program, and the options that not every version has."""
    program = shutil.which("bwrap")
    if program is None:
        raise FileNotFoundError("bwrap is not installed")
    known = subprocess.run([program, "--help"], capture_output=True, text=True, env={}).stdout
    return program, ("--disable-userns",) if "--disable-userns" in known else ()
