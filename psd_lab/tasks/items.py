"""Items of tasks: what they hold, how they are written as lines, and how lines are checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from psd_lib.errors import UserError


@dataclass(frozen=True)
class Example:
    """One item: the model sees `prompt` and has to produce `reference` followed by EOS."""

    id: str
    prompt: str
    reference: str
    meta: dict[str, Any] = field(default_factory=dict)


def is_text(value: Any) -> bool:
    """Check for text that can be written, which half of a surrogate pair cannot."""
    try:
        return isinstance(value, str) and value.encode("utf-8") is not None
    except UnicodeEncodeError:
        return False


def _is_number(value: Any) -> bool:
    try:
        return is_text(value) and float(value) == float(value)
    except ValueError:
        return False


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_text, value))


# What the judge of a task may ask of an entry of `meta`, in words and as a check.
KINDS: dict[str, Callable[[Any], bool]] = {
    "a text": is_text,
    "a number written as text": _is_number,
    "a list of at least one text": _are_texts,
}
MOST = 10**9
_FORM = "a JSON object with the texts id, prompt and reference and the object meta is expected"


def as_line(example: Example) -> str:
    """Write an item as the one JSON line that `Task.load` reads."""
    return json.dumps(asdict(example), ensure_ascii=False, sort_keys=True) + "\n"


def parse(line: str, needs: Mapping[str, str], owner: str) -> Example:
    """Read an item from a JSON line.

    Args:
        line: The text.
        needs: Entry of `meta` -> its kind, one of `KINDS`.
        owner: What messages call the line.

    Raises:
        UserError: The line is not an item, or lacks what the task's judge needs.
    """
    try:
        example = Example(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"{owner} is not an item: {_FORM}.") from None
    texts = (example.id, example.prompt, example.reference)
    if not isinstance(example.meta, dict) or not all(map(is_text, texts)):
        raise UserError(f"{owner} is not an item: {_FORM}.")
    check_meta(example.meta, needs, owner)
    return example


def check_meta(meta: Mapping[str, Any], needs: Mapping[str, str], owner: str) -> None:
    """Refuse an item that lacks what its judge needs.

    Raises:
        UserError: An entry of `meta` is missing or of another kind.
    """
    for name, kind in needs.items():
        if not KINDS[kind](meta.get(name)):
            given = f"not {meta[name]!r:.80}" if name in meta else "and is missing"
            raise UserError(f"{owner}: {name} in meta must be {kind}, {given}.")


def check_ids(ids: Iterable[str], owner: str) -> None:
    """Refuse ids that are not unique, because rows are found by them.

    Raises:
        UserError: An id occurs twice.
    """
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise UserError(f"{owner} has the id {one!r} twice: every item needs an id of its own.")
        seen.add(one)


def read(path: Path, needs: Mapping[str, str], limit: int | None) -> list[Example]:
    """Read the first `limit` items (None: all) of a file.

    Raises:
        UserError: The file cannot be read, is not in UTF-8, or holds no items, a line that is not
            an item, or an id twice.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            examples = [
                parse(line, needs, f"{path} line {number}")
                for number, line in enumerate(islice(lines, limit), 1)
            ]
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text in UTF-8: restore it.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    if not examples:
        raise UserError(f"{path} is empty: at least one item is expected.")
    check_ids((example.id for example in examples), str(path))
    return examples


def check_count(name: str, value: Any, optional: bool = False) -> None:
    """Refuse what does not count items, workers or the like.

    Raises:
        UserError: `value` is not a whole number from 1 to a billion, or None where that is
            allowed.
    """
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST:
        more = " or None" if optional else ""
        most = f" and at most {MOST}" if isinstance(value, int) and value > MOST else ""
        raise UserError(
            f"{name} must be a whole number of at least 1{most}{more}, not {value!r:.80}."
        )


def check_pairs(pairs: Iterable[Any], needs: Mapping[str, str]) -> list[tuple[str, Example]]:
    """Take pairs of a completion and its item.

    Raises:
        UserError: Something is not such a pair, or an item lacks what the judge needs.
    """
    if not isinstance(pairs, Iterable):
        raise UserError(
            f"pairs must be a list of completions and their items, not {type(pairs).__name__}."
        )
    taken = []
    for number, pair in enumerate(pairs, 1):
        if (
            not isinstance(pair, tuple | list)
            or len(pair) != 2
            or not isinstance(pair[0], str)
            or not isinstance(pair[1], Example)
        ):
            raise UserError(
                f"pair {number} must be a completion (text) and an Example, not {pair!r:.80}."
            )
        check_meta(pair[1].meta, needs, f"item {pair[1].id!r:.80}")
        taken.append((pair[0], pair[1]))
    return taken
