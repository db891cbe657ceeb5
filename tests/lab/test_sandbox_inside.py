"""The parts inside: plain data both ways, and which names are the candidate's."""

import json
import os
from collections import deque
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psd_lab.sandbox import Tests
from psd_lab.sandbox.inside import plain
from psd_lab.sandbox.inside.remote import update
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
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(timezone(timedelta(hours=-3, minutes=7))))
    | st.times()
    | st.timedeltas()
)
KEYS = st.integers() | st.text() | st.tuples(st.integers(), st.booleans())
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner)
        | st.sets(KEYS)
        | st.lists(inner).map(deque)
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
    assert plain.encode(date(2020, 2, 29), refuse) == {"date": [2020, 2, 29]}
    assert plain.encode(timedelta(-1, 2, 3), refuse) == {"timedelta": [-1, 2, 3]}
    assert plain.encode(time(1, 2, 3, 4, fold=1), refuse) == {"time": [1, 2, 3, 4, 1, None]}
    assert plain.encode(datetime(2020, 1, 2, 3, tzinfo=timezone(timedelta(hours=1))), refuse) == {
        "datetime": [2020, 1, 2, 3, 0, 0, 0, 0, [0, 3600, 0]]
    }
    assert plain.encode(deque([1, (2,)], 3), refuse) == {"deque": [[1, {"tuple": [2]}], 3]}


def test_a_time_in_a_named_zone_does_not_cross():
    """Its offset is known to the zone alone."""

    class Zone(tzinfo):
        def utcoffset(self, moment):
            return timedelta(hours=1)

    for value in (datetime(2020, 1, 2, tzinfo=Zone()), time(1, tzinfo=Zone())):
        with pytest.raises(TypeError):
            plain.encode(value, refuse)


def test_numbers_of_numpy_become_those_of_python():
    numpy = pytest.importorskip("numpy")
    values = [numpy.int64(3), numpy.float32(0.5), numpy.bool_(True), numpy.str_("a")]
    found = plain.decode(plain.encode(values, refuse), refuse)
    assert exact(found, [3, 0.5, True, "a"])
    assert exact(
        plain.decode(plain.encode(numpy.datetime64("2020-01-02"), refuse), refuse), date(2020, 1, 2)
    )
    with pytest.raises(TypeError):
        plain.encode(numpy.zeros(2), refuse)


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
        {"date": [2020, 2, 30]},
        {"date": [2020, 2]},
        {"date": ["2020", 1, 1]},
        {"date": [True, True, True]},
        {"timedelta": [10**12, 0, 0]},
        {"timedelta": [1.5, 0, 0]},
        {"time": [1, 2, 3, 4]},
        {"time": [1, 2, 3, 4, 0, [100000, 0, 0]]},
        {"datetime": [2020, 1, 2, 3, 4, 5, 6, 7, None]},
        {"datetime": "2020-01-02"},
        {"deque": [1, 2]},
        {"deque": [[1], -1]},
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
        (deque([1]), deque([2, 3]), True),
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
        "deque",
        "list to tuple",
        "list to set",
        "number",
        "dict to list",
    ],
)
def test_changes_of_arguments(old, new, changed):
    before = json.dumps(old, default=repr)
    assert update(old, new) is changed
    assert old == new if changed else json.dumps(old, default=repr) == before


def test_changes_keep_inner_objects():
    inner, row = [1], {"k": 2}
    old = [inner, row, 5]
    assert update(old, [[1, 9], {"k": 3}, 5, 6])
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
