"""The parts inside: plain data both ways, which names are the candidate's, and what the filter says
to single calls.
"""

import json
import os
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psd_lab.sandbox import Tests
from psd_lab.sandbox.inside import plain, seccomp
from psd_lab.sandbox.inside.remote import _update
from psd_lab.sandbox.names import plan

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.fractions()
    | st.decimals(allow_nan=False)
)
KEYS = st.integers() | st.text() | st.tuples(st.integers(), st.booleans())
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner)
        | st.sets(KEYS)
        | st.frozensets(KEYS)
    ),
)


def refuse(value):
    raise TypeError(value)


def exact(one, other):
    """Equality that also sees kinds: 1 is not True, and a list is not a tuple."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, (list, tuple)):
        return all(map(exact, one, other))
    return not isinstance(one, dict) or all(exact(one[key], other[key]) for key in one)


@given(VALUES)
def test_plain_values_cross_unchanged(value):
    assert exact(plain.decode(json.loads(json.dumps(plain.encode(value, refuse))), refuse), value)


def test_worked_example():
    assert plain.encode([1, (2, 3), {"a": {4}}], refuse) == [
        1,
        {"tuple": [2, 3]},
        {"dict": [["a", {"set": [4]}]]},
    ]
    assert plain.encode(2**64, refuse) == {"int": "0x10000000000000000"}
    assert plain.encode(Fraction(1, 2), refuse) == {"fraction": ["0x1", "0x2"]}
    assert plain.encode(Decimal("0.10"), refuse) == {"decimal": "0.10"}


def test_overrides_of_subclasses_are_lost():
    class Liar(list):
        def __eq__(self, other):
            return True

        def __iter__(self):
            return iter([7])

    got = plain.decode(plain.encode(Liar([1, 2]), refuse), refuse)
    assert type(got) is list and got == [1, 2] and got != [7]


@pytest.mark.parametrize(
    "data",
    [
        {"function": 1},
        {},
        {"int": "0x1", "set": []},
        {"int": 4},
        {"set": [[1]]},
        {"dict": [[1]]},
        {"dict": 3},
        {"range": [1]},
        {"range": [0, 1, 0]},
        {"bytes": "x"},
        {"bytes": 100000000},
        {"complex": ["1"]},
        {"type": "eval"},
        {"type": []},
        {"constant": "x"},
        {"fraction": ["0x1", "0x0"]},
        {"fraction": "1/2"},
        {"decimal": "x"},
        {"decimal": "1" * 30000},
        {"decimal": [0, [1], 2]},
        {"tuple": None},
        {"keys": [[]]},
    ],
    ids=str,
)
def test_malformed_data_is_a_protocol_error(data):
    with pytest.raises(plain.ProtocolError):
        plain.decode([data], refuse)


def test_depth_is_limited_on_both_sides():
    deep = []
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(ValueError, match="too deeply"):
        plain.encode(deep, refuse)
    with pytest.raises(plain.ProtocolError, match="too deeply"):
        plain.decode(deep, refuse)


def test_frames_are_read_to_the_byte():
    reading, writing = os.pipe()
    try:
        plain.send(writing, {"a": "é"})
        os.write(writing, b"rest")
        assert plain.receive(reading) == {"a": "é"}
        assert os.read(reading, 9) == b"rest"
        os.write(writing, b"\xff\xff\xff\xff")
        with pytest.raises(plain.ProtocolError, match="larger than 16 MiB"):
            plain.receive(reading)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ([1, 2, 3], [3, 2], True),
        ([], [1], True),
        ({"a": 1}, {"b": 2}, True),
        ({1}, {2, 3}, True),
        (bytearray(b"a"), bytearray(b"bc"), True),
        ([1], (1,), False),
        ([1], {1}, False),
        (3, 4, False),
        ({}, [], False),
    ],
    ids=[
        "shorter",
        "longer",
        "dict",
        "set",
        "bytes",
        "list to tuple",
        "list to set",
        "number",
        "dict to list",
    ],
)
def test_changes_of_arguments(old, new, changed):
    before = json.dumps(old, default=repr)
    assert _update(old, new) is changed
    assert old == new if changed else json.dumps(old, default=repr) == before


def test_changes_keep_inner_objects():
    inner, row = [1], {"k": 2}
    old = [inner, row, 5]
    assert _update(old, [[1, 9], {"k": 3}, 5, 6])
    assert old == [[1, 9], {"k": 3}, 5, 6] and old[0] is inner and old[1] is row and inner == [1, 9]


@pytest.mark.parametrize(
    ("source", "prelude", "entry", "names", "modules"),
    [
        ("assert f(1) == g(2)", "", None, ["f", "g"], []),
        ("assert set(f([1])) == {1}", "", None, ["f"], []),
        ("assert f(()) == sys.getsizeof(())", "", None, ["f"], ["sys"]),
        ("import math\nassert math.isclose(f(1), 2)", "", None, ["f"], []),
        ("assert f(root) == 3", "root = Node(1)\nroot.left = Node(2)", None, ["Node", "f"], []),
        ("assert [f(x) for x in (1, 2)] == [1, 2]", "", None, ["f"], []),
        ("try:\n    f()\nexcept ValueError as error:\n    assert str(error)", "", None, ["f"], []),
        ("assert sum(10, 15) == 6\nassert sum(1, 2) == 3", "", None, ["sum"], []),
        ("assert set(sum(1, 2)) == {3}", "", None, ["sum"], []),
        ("assert sum(1, 2) == 3\nassert max(1, 2) == 3", "", None, [], []),
        ("assert profile(3) == 4", "", None, ["profile"], []),
        ("assert sum(1, 2) == max(2, 3)", "", "sum", ["sum"], []),
        (
            "def check(candidate):\n    assert candidate(1) == helper(1)",
            "def helper(x): return x\ndef f(x): ...",
            "f",
            [],
            [],
        ),
    ],
    ids=[
        "names",
        "built-in",
        "module",
        "imported",
        "set-up",
        "comprehension",
        "handler",
        "tested built-in",
        "inner built-in",
        "two built-ins",
        "module that is called",
        "entry point",
        "check",
    ],
)
def test_whose_names(source, prelude, entry, names, modules):
    found = plan(Tests(source, entry, prelude))
    assert (found["names"], found["modules"]) == (names, modules)
    assert found["check"] == (entry if "def check" in source else None)


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
