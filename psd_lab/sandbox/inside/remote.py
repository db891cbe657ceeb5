"""What the judge holds of the candidate: a channel that asks, and stand-ins for objects that cannot
cross.

A stand-in equals only itself and has no arithmetic and no order: an object that answered
comparisons, or saw an expected value as the other side of an operator, could forge a pass. It can
be called, read, changed, indexed and iterated.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import plain
from .plain import ProtocolError

if TYPE_CHECKING:
    from typing import Any

LARGEST_BATCH = 1024


class Gone(BaseException):
    """The candidate's process ended or closed its pipe."""


class CandidateExit(BaseException):
    """The candidate raised something that no `except Exception` catches, like SystemExit."""


class UnsupportedTest(BaseException):
    """The test gives the candidate something that cannot cross, such as a function of its own."""


class Channel:
    """Asks the candidate and checks every answer; remembers what decides the verdict even if a test
    swallows it.
    """

    def __init__(self, answers: int, questions: int) -> None:
        self.answers, self.questions = answers, questions
        self.raised: BaseException | None = None
        self.refused = False
        self.error_text = ""
        self.broken: BaseException | None = None
        self.stand_ins: dict[int, Remote] = {}

    def receive(self) -> Any:
        """One frame of the candidate."""
        try:
            return plain.receive(self.answers)
        except EOFError:
            self.fail(Gone())
        except ProtocolError as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Ends the conversation for good."""
        self.broken = self.broken or error
        raise self.broken

    def ask(self, **question: Any) -> dict:
        """Puts one question; its number cannot be guessed, so that no answer can lie in the pipe
        beforehand.
        """
        if self.broken:
            raise self.broken
        number = os.urandom(8).hex()
        try:
            plain.send(self.questions, {"id": number, **question})
        except OSError:
            self.fail(Gone())
        except ValueError as error:
            self.fail(ProtocolError(plain.clean(error)))
        answer = self.receive()
        if type(answer) is not dict or answer.get("id") != number:
            self.fail(ProtocolError("answer to another question"))
        return answer

    def name(self, name: str) -> tuple[bool, Any]:
        """Whether the code defines a name, and its value."""
        answer = self.ask(do="name", name=name)
        return ("value" in answer, self.value(answer.get("value")))

    def operate(
        self, what: str, on: int, args: tuple = (), named: dict[str, Any] | None = None
    ) -> Any:
        """Does something with an object of the candidate; changes of mutable arguments are carried
        over.
        """
        named = named or {}
        answer = self.ask(
            do=what,
            on=on,
            args=[self.data(item) for item in args],
            named={key: self.data(item) for key, item in named.items()},
        )
        self._carry_over(answer.get("changed", []), {**dict(enumerate(args)), **named})
        if "error" in answer:
            raise self.exception(answer["error"])
        if "value" not in answer:
            self.fail(ProtocolError("answer without value"))
        return self.value(answer["value"])

    def data(self, value: Any) -> Any:
        """Data of a value that goes to the candidate."""
        try:
            return plain.encode(value, self._hide)
        except ValueError as error:
            self.fail(ProtocolError(plain.clean(error)))

    def _hide(self, value: Any) -> Any:
        if isinstance(value, Remote):
            return {"handle": object.__getattribute__(value, "_number")}
        if isinstance(value, Iterator):
            return {"iterator": [plain.encode(item, self._hide) for item in value]}
        self.fail(
            UnsupportedTest(
                f"a test gives the candidate an object of class {plain.clean(type(value).__name__)}"
            )
        )

    def value(self, data: Any) -> Any:
        """The value of data that came from the candidate."""
        try:
            return plain.decode(data, self._stand_in)
        except ProtocolError as error:
            self.fail(error)
        except (MemoryError, RecursionError) as error:
            self.fail(ProtocolError(type(error).__name__))

    def _stand_in(self, content: Any) -> Remote:
        if type(content) is not list or [type(part) for part in content] != [int, str, str]:
            raise ProtocolError("malformed handle")
        number, kind, name = content
        if number not in self.stand_ins:
            self.stand_ins[number] = (RemoteIterator if kind == "iterator" else Remote)(
                self, number, plain.clean(name)
            )
        return self.stand_ins[number]

    def exception(self, data: Any) -> BaseException:
        """The exception that the candidate describes: the built-in class nearest to its own."""
        if type(data) is not list or [type(part) for part in data] != [str, str, str, bool]:
            self.fail(ProtocolError("malformed error"))
        name, known, text, self.refused = data
        text = plain.clean(text)
        self.error_text = f"{plain.clean(name)}: {text}"
        kind = getattr(builtins, known, None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            kind = CandidateExit
        try:
            self.raised = kind(text)
        except TypeError:
            self.raised = ValueError(text) if issubclass(kind, ValueError) else RuntimeError(text)
        return self.raised

    def _carry_over(self, changed: Any, given: dict[int | str, Any]) -> None:
        try:
            for key, data in changed:
                if not _update(given[key], self.value(data)):
                    raise TypeError
        except (TypeError, ValueError, KeyError):
            self.fail(ProtocolError("malformed change of an argument"))


def _update(old: Any, new: Any) -> bool:
    """Makes a mutable argument equal to what the candidate made of it; inner objects stay the same
    where they can.
    """
    if type(old) is not type(new) or type(old) not in plain.MUTABLE:
        return False
    if type(old) is list:
        old[:] = [
            was if index < len(old) and _update(was, now) else now
            for index, (was, now) in enumerate(zip([*old, *new[len(old) :]], new, strict=False))
        ]
    elif type(old) is dict:
        kept = {
            key: old[key] if key in old and _update(old[key], now) else now
            for key, now in new.items()
        }
        old.clear()
        old.update(kept)
    elif type(old) is set:
        old.clear()
        old.update(new)
    else:
        old[:] = new
    return True


class Remote:
    """Stands for an object of the candidate: opaque, equal to itself only."""

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
    """An iterator of the candidate, fetched in growing batches: an endless one is read as far as
    the test goes.
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
