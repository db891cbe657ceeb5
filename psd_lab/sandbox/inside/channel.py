"""The judge's end of the conversation with the candidate: asks, and checks every answer."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import plain
from .plain import ProtocolError
from .remote import Remote, RemoteIterator, update

if TYPE_CHECKING:
    from typing import Any


class Gone(BaseException):
    """The candidate's process ended or closed its pipe."""


class CandidateExit(BaseException):
    """The candidate raised something that no `except Exception` catches, like SystemExit."""


class UnsupportedTest(BaseException):
    """The test gives the candidate something that cannot cross, such as a function of its own."""


class Channel:
    """Asks the candidate and checks every answer.

    It remembers what decides the verdict even if a test swallows it.
    """

    def __init__(self, answers: int, questions: int) -> None:
        self.answers, self.questions = answers, questions
        self.raised: BaseException | None = None
        self.refused = False
        self.missing = ""
        self.error_text = ""
        self.incomparable = ""
        self.broken: BaseException | None = None
        self.stand_ins: dict[int, Remote] = {}

    def receive(self) -> Any:
        """Read one frame of the candidate."""
        try:
            return plain.receive(self.answers)
        except EOFError:
            self.fail(Gone())
        except ProtocolError as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the conversation for good."""
        self.broken = self.broken or error
        raise self.broken

    def ask(self, **question: Any) -> dict:
        """Put one question.

        Its number cannot be guessed, so that no answer can lie in the pipe beforehand.
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
        """Ask whether the code defines a name, and for its value."""
        answer = self.ask(do="name", name=name)
        return ("value" in answer, self.value(answer.get("value")))

    def operate(
        self, what: str, on: int, args: tuple = (), named: dict[str, Any] | None = None
    ) -> Any:
        """Do something with an object of the candidate; carry over changes of mutable arguments."""
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
        """Turn a value that goes to the candidate into data."""
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
        """Turn data that came from the candidate into a value."""
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
        """Make the exception that the candidate describes: the built-in class nearest to its own.

        StopIteration becomes RuntimeError, as in a generator (PEP 479): raised through `map` or
        `iter`, it would end a loop of the test as if every item had been checked. The end of an
        iterator arrives in another way.
        """
        if type(data) is not list or [type(part) for part in data] != [str, str, str, bool]:
            self.fail(ProtocolError("malformed error"))
        name, known, text, self.refused = data
        text = plain.clean(text)
        self.error_text = f"{plain.clean(name)}: {text}"
        self.missing = _missing_module(known, text)
        kind = getattr(builtins, known, None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            kind = CandidateExit
        elif issubclass(kind, StopIteration | StopAsyncIteration):
            kind = RuntimeError
        try:
            self.raised = kind(text)
        except TypeError:
            self.raised = ValueError(text) if issubclass(kind, ValueError) else RuntimeError(text)
        return self.raised

    def _carry_over(self, changed: Any, given: dict[int | str, Any]) -> None:
        try:
            for key, data in changed:
                if not update(given[key], self.value(data)):
                    raise TypeError
        except (TypeError, ValueError, KeyError):
            self.fail(ProtocolError("malformed change of an argument"))


def _missing_module(known: str, text: str) -> str:
    """Read the module's name from the text of a ModuleNotFoundError; "" for other errors."""
    parts = text.split("'")
    if known != "ModuleNotFoundError" or parts[0] != "No module named " or len(parts) < 3:
        return ""
    return parts[1]
