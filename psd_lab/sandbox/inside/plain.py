"""Plain data between judge and candidate: what crosses the pipe, and how.

A frame is four bytes of length and ASCII JSON. Lists are JSON lists, other kinds are objects with
one tag:

    [1, (2, 3), {"a": {4}}]   ->   [1, {"tuple": [2, 3]}, {"dict": [["a", {"set": [4]}]]}]

Only the base types of the language and a few of the standard library (`library.py`) cross. An
object of a subclass is rebuilt from the content of its base type, so that nothing it overrides (an
`__eq__` that is always true) comes along; any other object becomes a numbered handle.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import library

if TYPE_CHECKING:
    from typing import Any

LARGEST_FRAME = 16 * 1024**2
DEEPEST = 150
LONGEST_TEXT = 400
LARGEST_NUMBER = 2**63
TYPES = {
    kind.__name__: kind
    for kind in (
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        bytearray,
        list,
        tuple,
        dict,
        set,
        frozenset,
        range,
        object,
        type,
        type(None),
    )
}
CONSTANTS = {"...": ..., "NotImplemented": NotImplemented}
MUTABLE = (list, dict, set, bytearray, deque)
_VIEWS = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}
_BASES = (int, float, str, list, tuple, dict, set, frozenset, bytes, bytearray, complex)


class ProtocolError(BaseException):
    """The other side sent something that no honest side sends; no `except Exception` of a test
    catches it.
    """


def send(fd: int, message: Any) -> None:
    """Write one frame.

    Raises:
        ValueError: the frame would be larger than 16 MiB.
    """
    data = json.dumps(message, separators=(",", ":")).encode("ascii")
    if len(data) > LARGEST_FRAME:
        raise ValueError("value is larger than 16 MiB")
    rest = memoryview(len(data).to_bytes(4, "big") + data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def receive(fd: int) -> Any:
    """Read one frame, not a byte more.

    Raises:
        EOFError: the pipe has ended.
        ProtocolError: what arrives is not a frame.
    """
    size = int.from_bytes(_read(fd, 4), "big")
    if size > LARGEST_FRAME:
        raise ProtocolError("frame is larger than 16 MiB")
    try:
        return json.loads(_read(fd, size).decode("ascii"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise ProtocolError(f"frame is not JSON ({type(error).__name__})") from None


def _read(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(fd, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def encode(value: Any, opaque: Callable[[Any], Any], depth: int = DEEPEST) -> Any:
    """Turn a value into JSON data; `opaque(value)` gives the data of what is not plain.

    Raises:
        ValueError: values are nested deeper than 150 levels, cycles included.
    """
    kind = type(value)
    if value is None or kind is bool or kind is str or kind is float:
        return value
    if kind is int:
        return value if -LARGEST_NUMBER < value < LARGEST_NUMBER else {"int": hex(value)}
    if depth <= 0:
        raise ValueError("value is nested too deeply")
    below = depth - 1
    if kind is list:
        return [encode(item, opaque, below) for item in value]
    if kind is tuple or kind is set or kind is frozenset:
        return {kind.__name__: [encode(item, opaque, below) for item in value]}
    if kind is dict:
        return {
            "dict": [
                [encode(key, opaque, below), encode(item, opaque, below)]
                for key, item in value.items()
            ]
        }
    return _encode_rare(value, kind, opaque, below)


def _encode_rare(value: Any, kind: type, opaque: Callable[[Any], Any], depth: int) -> Any:
    if kind is bytes or kind is bytearray:
        return {kind.__name__: value.hex()}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if kind is range:
        return {"range": [encode(end, opaque) for end in (value.start, value.stop, value.step)]}
    if kind in _VIEWS:
        return {_VIEWS[kind]: encode([*value], opaque, depth)}
    for name, constant in CONSTANTS.items():
        if value is constant:
            return {"constant": name}
    if kind is type and TYPES.get(value.__name__) is value:
        return {"type": value.__name__}
    for base in _BASES:
        if isinstance(value, base):
            return encode(_as_base(value, base), opaque, depth)
    if isinstance(value, deque):
        return {"deque": [encode([*deque.__iter__(value)], opaque, depth), value.maxlen]}
    if (data := library.data_of(value)) is not None:
        return data
    if (scalar := library.scalar_of(value)) is not None:
        return encode(scalar, opaque, depth)
    return opaque(value)


def _as_base(value: Any, base: type) -> Any:
    """Read the content of the base type with the base type's own methods."""
    if base is int or base is float or base is str:
        return {int: int.__index__, float: float.__float__, str: str.__str__}[base](value)
    if base is dict:
        return dict(dict.items(value))
    if base is complex:
        return complex.__complex__(value)
    return base(base.__iter__(value))


def decode(data: Any, find: Callable[[Any], Any], depth: int = DEEPEST) -> Any:
    """Turn JSON data into a value; `find(data)` gives the object of a handle.

    Raises:
        ProtocolError: the data is malformed.
    """
    kind = type(data)
    if kind is not list and kind is not dict:
        return data
    if depth <= 0:
        raise ProtocolError("value is nested too deeply")
    if kind is list:
        return [decode(item, find, depth - 1) for item in data]
    if len(data) != 1:
        raise ProtocolError("value has no single tag")
    ((tag, content),) = data.items()
    if tag == "handle":
        return find(content)
    maker = _MAKERS.get(tag)
    if maker is None:
        raise ProtocolError("value has an unknown tag")
    try:
        return maker(
            content if tag in _RAW else [decode(item, find, depth - 1) for item in content]
        )
    except Exception as error:
        raise ProtocolError(f"malformed {tag} ({type(error).__name__})") from None


def _number(text: str) -> int:
    return int(text, 16)


def _complex(pair: list[float]) -> complex:
    real, imaginary = pair
    return complex(real, imaginary)


def _range(ends: list[int]) -> range:
    start, stop, step = ends
    return range(start, stop, step)


def _deque(parts: list[Any]) -> deque[Any]:
    items, longest = parts
    return deque(items, longest)


_RAW = {"int", "bytes", "bytearray", "complex", "constant", "type", *library.MAKERS}
_MAKERS: dict[str, Callable[[Any], Any]] = {
    "int": _number,
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "complex": _complex,
    "constant": CONSTANTS.__getitem__,
    "type": TYPES.__getitem__,
    **library.MAKERS,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "deque": _deque,
    "iterator": iter,
    "range": _range,
    "keys": lambda keys: dict.fromkeys(keys).keys(),
    "values": lambda values: dict(enumerate(values)).values(),
    "items": lambda pairs: dict(pairs).items(),
}


def clean(text: Any) -> str:
    """Make a text safe to print: printable ASCII, at most 400 characters.

    No terminal code and no line break gets through.
    """
    try:
        return "".join(sign if " " <= sign <= "~" else "?" for sign in str(text)[:LONGEST_TEXT])
    except Exception:
        return ""
