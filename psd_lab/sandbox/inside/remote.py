"""Stand-ins for objects of the candidate that cannot cross.

A stand-in can be called, read, changed, indexed and iterated. It never equals data, and it has no
arithmetic and no order: an object that answered such questions, or saw an expected value as the
other side of an operator, could forge a pass.

Two stand-ins are compared by the candidate's own `__eq__`, so that honest classes work. This forges
nothing: both sides come from the candidate, which could as well hand out one object for both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import plain
from .plain import ProtocolError

if TYPE_CHECKING:
    from typing import Any

    from .channel import Channel

LARGEST_BATCH = 1024


def update(old: Any, new: Any) -> bool:
    """Make a mutable argument equal to what the candidate made of it.

    Inner objects stay the same where they can. Returns False when the types differ.
    """
    if type(old) is not type(new) or type(old) not in plain.MUTABLE:
        return False
    if type(old) is list:
        old[:] = [
            was if index < len(old) and update(was, now) else now
            for index, (was, now) in enumerate(zip([*old, *new[len(old) :]], new, strict=False))
        ]
    elif type(old) is dict:
        kept = {
            key: old[key] if key in old and update(old[key], now) else now
            for key, now in new.items()
        }
        old.clear()
        old.update(kept)
    elif type(old) is set:
        old.clear()
        old.update(new)
    elif type(old) is deque:
        old.clear()
        old.extend(new)
    else:
        old[:] = new
    return True


class Remote:
    """Stand for an object of the candidate."""

    def __init__(self, channel: Channel, number: int, name: str) -> None:
        object.__setattr__(self, "_channel", channel)
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_name", name)

    def _do(self, what: str, *args: Any) -> Any:
        return self._channel.operate(what, self._number, args)

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._channel.operate("call", self._number, args, named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._do("get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._do("set", name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._do("item", key)

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Remote):
            self._channel.incomparable = self._name
            return NotImplemented
        return self._number == other._number or self._do("equal", other) is True

    def __hash__(self) -> int:
        return hash(self._do("hash"))

    def __len__(self) -> int:
        return self._do("len")

    def __bool__(self) -> bool:
        return self._do("bool")

    def __iter__(self) -> Any:
        return iter(self._do("iter"))

    def __str__(self) -> str:
        return self._do("str")

    def __copy__(self) -> Remote:
        return self

    def __deepcopy__(self, memo: Any) -> Remote:
        return self

    def __repr__(self) -> str:
        return f"<{self._name} of the candidate>"


class RemoteIterator(Remote):
    """Stand for an iterator of the candidate.

    Its items are fetched in growing batches: an endless one is read as far as the test goes.
    """

    def __init__(self, channel: Channel, number: int, name: str) -> None:
        super().__init__(channel, number, name)
        object.__setattr__(self, "_items", self._fetch())

    def _fetch(self) -> Iterator[Any]:
        count = 1
        while True:
            answer = self._channel.ask(do="next", on=self._number, count=count)
            items = self._channel.value(answer.get("items"))
            if type(items) is not list or len(items) > count:
                self._channel.fail(ProtocolError("malformed items"))
            yield from items
            if "error" in answer:
                raise self._channel.exception(answer["error"])
            if "end" in answer:
                return
            count = min(2 * count, LARGEST_BATCH)

    def __iter__(self) -> RemoteIterator:
        return self

    def __next__(self) -> Any:
        return next(self._items)
