"""The process that runs the generated code and answers questions about it with plain data.

Nothing here is trusted once the code has run: whatever it does to this process, it can only change
what is answered.
"""

from __future__ import annotations

import errno
import os
import sys
import types
from typing import TYPE_CHECKING

from . import plain
from .packages import offer

if TYPE_CHECKING:
    from typing import Any

MODULE = "candidate"
REFUSALS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS, errno.EFBIG}
_OPERATIONS = {
    "call": lambda thing, args, named: thing(*args, **named),
    "get": lambda thing, args, named: getattr(thing, *args),
    "set": lambda thing, args, named: setattr(thing, *args),
    "item": lambda thing, args, named: thing[args[0]],
    "len": lambda thing, args, named: len(thing),
    "bool": lambda thing, args, named: bool(thing),
    "str": lambda thing, args, named: str(thing),
    "iter": lambda thing, args, named: iter(thing),
    "equal": lambda thing, args, named: bool(thing == args[0]),
    "hash": lambda thing, args, named: hash(thing),
}


class Objects:
    """Objects that stay here, by number; the same object always has the same number."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.numbers: dict[int, int] = {}

    def hide(self, value: Any) -> Any:
        """Describe an opaque object as data: its number, its kind and the name of its class."""
        number = self.numbers.get(id(value))
        if number is None:
            number = self.numbers[id(value)] = len(self.kept)
            self.kept.append(value)
        kind = (
            "iterator"
            if hasattr(type(value), "__next__")
            else "callable"
            if callable(value)
            else "object"
        )
        return {"handle": [number, kind, plain.clean(type(value).__name__)]}

    def find(self, number: Any) -> Any:
        """Find the object of a number."""
        return self.kept[number]


def serve(code: str, packages: list[list], questions: int, answers: int) -> None:
    """Run the code, report how that went, then answer questions until the judge closes the pipe.

    The code can import the standard library and `packages` (name, file, folders).
    """
    plain.send(answers, "ready")
    offer(packages)
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    sys.argv[:] = [""]
    objects = Objects()
    try:
        exec(compile(code, "candidate.py", "exec", dont_inherit=True), module.__dict__)
        plain.send(answers, {"loaded": True})
    except BaseException as error:
        plain.send(answers, {"error": _describe(error)})
    while True:
        try:
            question = plain.receive(questions)
        except EOFError:
            os._exit(0)
        try:
            answer = _answer(question, module.__dict__, objects)
            plain.send(answers, {"id": question["id"], **answer})
        except BaseException as error:
            plain.send(answers, {"id": question["id"], "error": _describe(error)})


def _answer(question: dict, names: dict[str, Any], objects: Objects) -> dict:
    what = question["do"]
    if what == "name":
        name = question["name"]
        return (
            {"value": plain.encode(names[name], objects.hide)}
            if name in names
            else {"missing": True}
        )
    thing = objects.find(question["on"])
    if what == "next":
        return _items(thing, question["count"], objects)
    args = [plain.decode(item, objects.find) for item in question["args"]]
    named = {key: plain.decode(item, objects.find) for key, item in question["named"].items()}
    answer: dict[str, Any] = {}
    try:
        answer["value"] = plain.encode(_OPERATIONS[what](thing, args, named), objects.hide)
    except BaseException as error:
        answer["error"] = _describe(error)
    given = [*enumerate(question["args"]), *question["named"].items()]
    changed = []
    for key, before in given:
        value = args[key] if type(key) is int else named[key]
        if type(value) in plain.MUTABLE:
            after = plain.encode(value, objects.hide)
            if after != before:
                changed.append([key, after])
    return {**answer, "changed": changed}


def _items(iterator: Any, count: int, objects: Objects) -> dict:
    """Take at most `count` items of an iterator, and tell if it ended or failed after them."""
    items = []
    try:
        for _ in range(count):
            items.append(plain.encode(next(iterator), objects.hide))
    except StopIteration:
        return {"items": items, "end": True}
    except BaseException as error:
        return {"items": items, "error": _describe(error)}
    return {"items": items}


def _describe(error: BaseException) -> list:
    """Describe an exception as data.

    Returns its name, the nearest built-in class, its text, and whether the sandbox refused
    something.
    """
    kind = type(error)
    known = next(
        (base.__name__ for base in kind.__mro__ if base.__module__ == "builtins"), "Exception"
    )
    refused = isinstance(error, OSError) and error.errno in REFUSALS
    return [plain.clean(kind.__name__), known, plain.clean(error), refused]
