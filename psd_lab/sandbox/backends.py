"""How one interpreter is started under each back-end: command line, environment, what it may read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
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
    """The bare interpreter behind a possible virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


@cache
def readable() -> list[str]:
    """Folders and files that the interpreter needs: its executable, its libraries, and this
    package's inside.
    """
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


def command(backend: str, verdict: int) -> list[str]:
    """The command line that starts a check; `verdict` is the descriptor that it inherits for its
    verdict.
    """
    python = [interpreter(), "-s", "-S", "-P", "-B", "-c", _BOOT, str(verdict), str(INSIDE.parent)]
    if backend == NONE:
        return python
    prefix = _bubblewrap() if backend == "bubblewrap" else []
    return ["/bin/sh", "-c", _FIRST_TO_GO, "sh", *prefix, *python]


@cache
def _bubblewrap() -> list[str]:
    """Every namespace of its own, nothing but `readable()` in it, nothing writable, no /proc.

    Without /proc the environment of bubblewrap itself cannot be read; its root file system is
    writable and in memory until it is remounted; device nodes are bound one by one because /dev/shm
    would be writable, too.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise FileNotFoundError("bwrap is not installed")
    known = subprocess.run([program, "--help"], capture_output=True, text=True, env={}).stdout
    command = [
        program,
        "--unshare-user",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
    ]
    if "--disable-userns" in known:
        command.append("--disable-userns")
    for path in readable():
        command += ["--ro-bind", path, path]
    for device in landlock.DEVICES:
        command += ["--dev-bind", device, device]
    return [*command, "--remount-ro", "/", "--chdir", "/", "--"]
