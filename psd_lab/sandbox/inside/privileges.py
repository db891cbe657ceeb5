"""What a process gives up before it runs anything.

Capabilities, resources, life after its parent's death, and being inspected.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, CAPSET = 1, 4, 126
OPEN_FILES = 32


def drop() -> None:
    """Give up all capabilities and hide this process's memory from others.

    Root keeps its number, not its power.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    header = struct.pack("Ii", 0x20080522, 0)
    if libc.syscall(ctypes.c_long(CAPSET), ctypes.c_char_p(header), ctypes.c_char_p(bytes(24))):
        raise OSError(ctypes.get_errno(), "capabilities could not be dropped")


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends; end now if that is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def limit(cpu: int, memory: int, strict: bool = True, notice: int = 0) -> None:
    """Limit this process: CPU time, address space, no file content, few open files.

    Args:
        cpu: Seconds.
        memory: Bytes of address space.
        strict: False skips what the system does not know (macOS has no limit on address space).
        notice: Seconds between SIGXCPU, which says what happened, and SIGKILL, which cannot be
            caught; 0 kills at once.
    """
    wanted = (
        ("RLIMIT_CPU", cpu),
        ("RLIMIT_AS", memory),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_NOFILE", OPEN_FILES),
        ("RLIMIT_CORE", 0),
    )
    for name, value in wanted:
        try:
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            spare = notice if kind == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else 0
            resource.setrlimit(kind, (value, value + spare))
        except (AttributeError, OSError, ValueError):
            if strict:
                raise
