"""What the filter of system calls answers to single calls."""

import pytest

from psd_lab.sandbox.inside import seccomp


def verdict_of(program, number, *arguments):
    """Runs a filter the way the kernel does, on one call."""
    words = [number, seccomp.AUDIT_ARCH_X86_64, 0, 0]
    for argument in (*arguments, *[0] * (6 - len(arguments))):
        words += [argument & 0xFFFFFFFF, argument >> 32 & 0xFFFFFFFF]
    at, loaded = 0, 0
    while True:
        code, yes, no, value = program[at]
        at += 1
        if code == seccomp._RETURN:
            return value
        if code == seccomp._LOAD:
            loaded = words[value // 4]
        else:
            holds = {
                seccomp._EQUAL: loaded == value,
                seccomp._AT_LEAST: loaded >= value,
                seccomp._ANY_BIT: bool(loaded & value),
            }[code]
            at += yes if holds else no


ALLOWED, EPERM, ENOSYS, EAGAIN = (
    seccomp.ALLOW,
    seccomp.ERRNO | 1,
    seccomp.ERRNO | 38,
    seccomp.ERRNO | 11,
)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ((0,), ALLOWED),
        ((231,), ALLOWED),
        ((318,), ALLOWED),
        ((63,), ALLOWED),
        ((57,), EPERM),
        ((58,), EPERM),
        ((59,), EPERM),
        ((41,), EPERM),
        ((62, 77, 9), EPERM),
        ((101,), EPERM),
        ((90,), EPERM),
        ((272,), EPERM),
        ((425,), ENOSYS),
        ((435,), ENOSYS),
        ((434,), ENOSYS),
        ((9999,), ENOSYS),
        ((436,), ALLOWED),
        ((439,), ALLOWED),
        ((56, 0x3D0F00), ALLOWED),
        ((56, 0x3D0F00 | 0x10000000), EPERM),
        ((56, 17), EPERM),
        ((56, 0x3D0F00 | 1 << 40), EPERM),
        ((72, 3, 3), ALLOWED),
        ((72, 3, 8), EPERM),
        ((72, 3, 15), EPERM),
        ((72, 3, 10), EPERM),
        ((16, 0, 0x5401), ALLOWED),
        ((16, 0, 0x5412), EPERM),
        ((157, 15), ALLOWED),
        ((157, 1), EPERM),
        ((157, 4), EPERM),
        ((234, 77, 77, 6), ALLOWED),
        ((234, 78, 78, 6), EPERM),
        ((302, 0, 7, 0), ALLOWED),
        ((302, 77, 7, 0), ALLOWED),
        ((302, 0, 7, 4096), EPERM),
        ((302, 0, 7, 1 << 40), EPERM),
        ((302, 78, 7, 0), EPERM),
        ((9, 0, 4096, 3, 0x22), ALLOWED),
        ((9, 0, 8 << 20, 0, 0x20022), ALLOWED),
        ((9, 0, 65536, 0, 0x20022), EAGAIN),
        ((9, 0, 1 << 33, 0, 0x20022), ALLOWED),
        ((0x40000000 + 39,), seccomp.KILL_PROCESS),
    ],
    ids=str,
)
def test_filter(call, answer):
    assert verdict_of(seccomp.allow_list(77), *call) == answer


def test_filter_kills_foreign_architectures_and_fits_the_kernel():
    program = seccomp.allow_list(77)
    assert program[1:3] == [
        (seccomp._EQUAL, 1, 0, seccomp.AUDIT_ARCH_X86_64),
        (seccomp._RETURN, 0, 0, seccomp.KILL_PROCESS),
    ]
    assert len(program) < 4096 and all(
        0 <= jump < 256 for _, yes, no, _ in program for jump in (yes, no)
    )
    assert all(0 <= value < 2**32 for *_, value in program)
