"""Landlock: take every right on files from this process except reading some.

TCP and signals are taken as well, where the kernel can.

Numbers and structures are those of landlock(7); versions of its interface ("ABI") add rights. What
no version covers (metadata of files, UDP) is refused by the system call filter or stays visible
(names and sizes of files).
"""

from __future__ import annotations

import ctypes
import os
import struct

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
# Number of rights on files that each version knows.
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"landlock: {os.strerror(ctypes.get_errno())}")
    return result


def version() -> int:
    """Read the kernel's version of the interface, at least 1.

    Raises:
        OSError: Landlock is missing or off.
    """
    return _call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))


def restrict(readable: list[str]) -> None:
    """Let this process read files below `readable` and a few devices, and touch no other file.

    Raises:
        OSError: The kernel does not do it.
    """
    abi = version()
    handled = (1 << RIGHTS[min(abi, max(RIGHTS))]) - 1
    # TCP bind and connect from version 4; abstract unix sockets and signals from version 6.
    attributes = struct.pack("QQQ", handled, 0b11 if abi >= 4 else 0, 0b11 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = _call(
        CREATE_RULESET, ctypes.c_char_p(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0)
    )
    for path in readable:
        _allow(rules, path, READ_FILE | (READ_DIR if os.path.isdir(path) else 0))
    for path in DEVICES:
        _allow(rules, path, (READ_FILE | WRITE_FILE | TRUNCATE) & handled)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0):  # PR_SET_NO_NEW_PRIVS
        raise OSError(ctypes.get_errno(), "no_new_privs")
    _call(RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0))
    os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rule = struct.pack("=Qi", rights, place)
        _call(
            ADD_RULE,
            ctypes.c_int(rules),
            ctypes.c_int(1),
            ctypes.c_char_p(rule),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(place)
