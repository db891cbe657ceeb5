"""The filter of system calls: what both processes may ask of the kernel.

Everything else is refused.

The filter is a classic BPF program (seccomp(2)), built here because the standard library has none.
Refused calls fail with EPERM; numbers newer than Linux 5.0 (io_uring, clone3, pidfd and the like)
with ENOSYS, so that the C library falls back to older ones. Calls of a foreign architecture or of
the x32 table kill the process.
"""

from __future__ import annotations

import ctypes
import errno
import struct

AUDIT_ARCH_X86_64 = 0xC000003E
X32_BIT = 0x40000000
FIRST_NEW_CALL = 335
ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

# Numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl). No fork, exec, socket, kill, ptrace,
# mount or namespace; no call that changes a file's content, name or metadata; no memory outside the
# limit on address space.
ALLOWED = {
    "read": 0,
    "write": 1,
    "open": 2,
    "close": 3,
    "stat": 4,
    "fstat": 5,
    "lstat": 6,
    "poll": 7,
    "lseek": 8,
    "mprotect": 10,
    "munmap": 11,
    "brk": 12,
    "rt_sigaction": 13,
    "rt_sigprocmask": 14,
    "rt_sigreturn": 15,
    "pread64": 17,
    "pwrite64": 18,
    "readv": 19,
    "writev": 20,
    "access": 21,
    "pipe": 22,
    "select": 23,
    "sched_yield": 24,
    "mremap": 25,
    "mincore": 27,
    "madvise": 28,
    "dup": 32,
    "dup2": 33,
    "pause": 34,
    "nanosleep": 35,
    "getitimer": 36,
    "alarm": 37,
    "setitimer": 38,
    "getpid": 39,
    "exit": 60,
    "wait4": 61,
    "uname": 63,
    "getdents": 78,
    "getcwd": 79,
    "chdir": 80,
    "fchdir": 81,
    "readlink": 89,
    "umask": 95,
    "gettimeofday": 96,
    "getrlimit": 97,
    "getrusage": 98,
    "sysinfo": 99,
    "times": 100,
    "getuid": 102,
    "getgid": 104,
    "geteuid": 107,
    "getegid": 108,
    "getppid": 110,
    "getpgrp": 111,
    "getgroups": 115,
    "getresuid": 118,
    "getresgid": 120,
    "getpgid": 121,
    "getsid": 124,
    "rt_sigpending": 127,
    "rt_sigtimedwait": 128,
    "rt_sigsuspend": 130,
    "sigaltstack": 131,
    "statfs": 137,
    "fstatfs": 138,
    "getpriority": 140,
    "sched_getparam": 143,
    "sched_getscheduler": 145,
    "sched_get_priority_max": 146,
    "sched_get_priority_min": 147,
    "gettid": 186,
    "time": 201,
    "futex": 202,
    "sched_getaffinity": 204,
    "epoll_create": 213,
    "getdents64": 217,
    "restart_syscall": 219,
    "clock_gettime": 228,
    "clock_getres": 229,
    "clock_nanosleep": 230,
    "exit_group": 231,
    "epoll_wait": 232,
    "epoll_ctl": 233,
    "openat": 257,
    "newfstatat": 262,
    "readlinkat": 267,
    "faccessat": 269,
    "pselect6": 270,
    "ppoll": 271,
    "set_robust_list": 273,
    "get_robust_list": 274,
    "epoll_pwait": 281,
    "eventfd2": 290,
    "epoll_create1": 291,
    "dup3": 292,
    "pipe2": 293,
    "preadv": 295,
    "getcpu": 309,
    "getrandom": 318,
    "membarrier": 324,
    "statx": 332,
    "rseq": 334,
    "close_range": 436,
    "faccessat2": 439,
}
MMAP, IOCTL, CLONE, FCNTL, PRCTL, TGKILL, PRLIMIT64 = 9, 16, 56, 72, 157, 234, 302
# What the C libraries (glibc, musl) ask for when they start a thread. Anything else would be a
# process.
THREAD_FLAGS = (0x3D0F00, 0x7D0F00)
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: without F_SETOWN no SIGIO can be
# sent to others.
FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)
# TCGETS, TIOCGWINSZ, FIONBIO, FIONCLEX, FIOCLEX: without TIOCSTI nothing can be typed into the
# user's terminal.
IOCTL_COMMANDS = (0x5401, 0x5413, 0x5421, 0x5450, 0x5451)
PRCTL_OPTIONS = (15, 16)  # PR_SET_NAME, PR_GET_NAME
MAP_STACK = 0x20000
# Small stacks would fit ten thousand threads under the memory limit; at 1 MiB or more it is below a
# thousand.
SMALLEST_STACK = 1 << 20

Program = list[tuple[int, int, int, int]]


def _return(value: int) -> tuple[int, int, int, int]:
    return _RETURN, 0, 0, value


def _low(argument: int) -> tuple[int, int, int, int]:
    return _LOAD, 0, 0, 16 + 8 * argument


def _high(argument: int) -> tuple[int, int, int, int]:
    return _LOAD, 0, 0, 20 + 8 * argument


def _one_of(argument: int, values: tuple[int, ...], refusal: int) -> Program:
    """Allow a call whose argument is one of some values.

    The kernel reads these arguments as 32 bits.
    """
    body = [_low(argument)]
    for value in values:
        body += [(_EQUAL, 0, 1, value), _return(ALLOW)]
    return [*body, _return(refusal)]


def allow_list(pid: int) -> Program:
    """Build the filter for the process `pid`.

    Beside plain calls it may signal itself, read its own limits and start threads.
    """
    refused = ERRNO | errno.EPERM
    special = {
        CLONE: [_high(0), (_EQUAL, 1, 0, 0), _return(refused), *_one_of(0, THREAD_FLAGS, refused)],
        FCNTL: _one_of(1, FCNTL_COMMANDS, refused),
        IOCTL: _one_of(1, IOCTL_COMMANDS, refused),
        PRCTL: _one_of(0, PRCTL_OPTIONS, refused),
        TGKILL: _one_of(0, (pid,), refused),
        PRLIMIT64: [
            _low(2),
            (_EQUAL, 1, 0, 0),
            _return(refused),
            _high(2),
            (_EQUAL, 1, 0, 0),
            _return(refused),
            *_one_of(0, (0, pid), refused),
        ],
        MMAP: [
            _low(3),
            (_ANY_BIT, 1, 0, MAP_STACK),
            _return(ALLOW),
            _high(1),
            (_EQUAL, 1, 0, 0),
            _return(ALLOW),
            _low(1),
            (_AT_LEAST, 0, 1, SMALLEST_STACK),
            _return(ALLOW),
            _return(ERRNO | errno.EAGAIN),
        ],
    }
    body: Program = []
    for number in ALLOWED.values():
        body += [(_EQUAL, 0, 1, number), _return(ALLOW)]
    for number, block in special.items():
        body += [(_EQUAL, 0, len(block), number), *block]
    return [
        *_head(),
        *body,
        (_AT_LEAST, 0, 1, FIRST_NEW_CALL),
        _return(ERRNO | errno.ENOSYS),
        _return(refused),
    ]


def _head() -> Program:
    """Begin a program: kill foreign call tables, then load the number of the call."""
    return [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, AUDIT_ARCH_X86_64),
        _return(KILL_PROCESS),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0, 1, X32_BIT),
        _return(KILL_PROCESS),
    ]


def install(program: Program) -> None:
    """Put the filter on this process, for good.

    Raises:
        OSError: The kernel has no seccomp or does not allow it.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0):  # PR_SET_NO_NEW_PRIVS
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if libc.prctl(22, 2, ctypes.c_char_p(header), 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise OSError(ctypes.get_errno(), "seccomp")
