"""Find the back-end that really works here, by an honest check and by an attack on it."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psd_lab.sandbox.backends import BACKENDS
from psd_lab.sandbox.errors import SandboxUnavailable
from psd_lab.sandbox.host import attempt
from psd_lab.sandbox.verdict import Limits, Tests, Verdict

PROBE_LIMITS = Limits(cpu=10, wall=60)
HONEST = "def double(x):\n    return [2 * item for item in x]\n"
# Returns what it got away with. Nothing here does harm where nothing holds it: signal 0 only
# asks whether a process is there, and the file is the probe's.
ATTACK = """
import os, socket
def tries(secret, folder, known, parent):
    def read(): return open(secret).read()
    def write(): return open(folder + "/written", "w").close()
    def fork(): return os.fork() or os._exit(0)
    def connect(): return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    def signal(): return os.kill(parent, 0)
    def change(): return os.chmod(secret, 0o600)
    def execute(): return os.execv("/bin/true", ["true"])
    def environment(): return {}[0] if not set(os.environ) & set(known) else 1
    done = []
    for attack in (read, write, fork, connect, signal, change, environment, execute):
        try:
            attack()
            done.append(attack.__name__)
        except Exception:
            pass
    return done
"""
REMEDY = (
    "install bubblewrap (apt, dnf, or conda-forge) where user namespaces are allowed (Ubuntu: by an"
    " AppArmor profile for bwrap), or use Linux 5.13 or newer with Landlock, or work in a Linux"
    " virtual machine, or score the completions later elsewhere; allow_unsafe=True runs generated"
    " code without isolation"
)


@dataclass(frozen=True)
class Probe:
    """What was found out about the back-ends here.

    Attributes:
        backend: The one that is used, None where there is none.
        found: For every back-end "works", or what is wrong with it.
    """

    backend: str | None
    found: dict[str, str]

    def __str__(self) -> str:
        return "\n".join(f"{name}: {what}" for name, what in self.found.items())


@cache
def probe() -> Probe:
    """Try every back-end, once per process.

    The first in order of preference that withstands both checks is used.
    """
    foreign = _foreign_system()
    if foreign:
        return Probe(None, dict.fromkeys(BACKENDS, foreign))
    found = {name: _examine(name) for name in BACKENDS}
    return Probe(next((name for name in BACKENDS if found[name] == "works"), None), found)


def require() -> str:
    """Return the back-end to use.

    Raises:
        SandboxUnavailable: There is none; the text has one reason per back-end and the remedy.
    """
    result = probe()
    if result.backend is None:
        reasons = "; ".join(f"{name}: {what}" for name, what in result.found.items())
        raise SandboxUnavailable(f"generated code cannot be isolated here ({reasons}): {REMEDY}.")
    return result.backend


def _foreign_system() -> str:
    if sys.platform != "linux":
        return f"needs Linux, this is {platform.system() or sys.platform}"
    if platform.machine() != "x86_64" or sys.maxsize < 2**32:
        return (
            "its filter of system calls is written for 64-bit x86-64 only, this is"
            f" {platform.machine()}"
        )
    return ""


def _examine(backend: str) -> str:
    """Return "works", or why a back-end is not to be trusted."""
    verdict = _twice(backend, HONEST, Tests("assert double([1, 2]) == [2, 4]"))
    if verdict.status != "pass":
        return f"does not start here: {verdict.reason}"
    with tempfile.TemporaryDirectory(prefix="psd-probe-") as folder:
        secret = Path(folder, "secret")
        secret.write_text("secret")
        arguments = (
            str(secret),
            folder,
            sorted(
                set(os.environ) - {"LANG", "TZ", "PYTHONHASHSEED", "LC_CTYPE", "PWD", "SHLVL", "_"}
            ),
            os.getpid(),
        )
        verdict = _twice(
            backend,
            ATTACK,
            Tests(f"done = tries(*{arguments!r})\nassert done == [], ', '.join(done)"),
        )
    return "works" if verdict.status == "pass" else f"does not hold: {verdict.reason}"


def _twice(backend: str, code: str, tests: Tests) -> Verdict:
    verdict = attempt(backend, code, tests, PROBE_LIMITS)
    return (
        verdict
        if verdict.status in ("pass", "fail")
        else attempt(backend, code, tests, PROBE_LIMITS)
    )
