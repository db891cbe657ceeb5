"""Imitates a machine on which some system calls are missing or forbidden."""

from psd_lab.sandbox.inside import seccomp


def forbid(numbers, error):
    """Let these system calls of the whole process fail with `error`, for good."""
    program = [*seccomp._head()]
    for number in numbers:
        program += [(seccomp._EQUAL, 0, 1, number), seccomp._return(seccomp.ERRNO | error)]
    seccomp.install([*program, seccomp._return(seccomp.ALLOW)])
