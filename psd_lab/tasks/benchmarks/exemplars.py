"""Prompts from items: templates, and the frozen exemplars that stand before an item."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

from psd_lab.tasks.benchmarks.protocol import Protocol, parts
from psd_lib.errors import UserError

Message = dict[str, str]
Fields = Mapping[str, str]
_FIELD = re.compile(r"\{([a-z]+)\}")


def fill(template: str, fields: Fields) -> str:
    """Replace each `{name}` by that field.

    Braces inside the fields and braces around nothing are left alone.
    """
    return _FIELD.sub(lambda match: fields[match[1]], template)


def exemplars(name: str | None, rows: Callable[[str, list[str]], list[Fields]]) -> list[Fields]:
    """Read the frozen exemplars `name`.

    `rows` reads the fields of items of the benchmark by split and ids.

    Raises:
        UserError: Their text is not the one whose sha256 was frozen.
    """
    if name is None:
        return []
    entry = parts("exemplars")[name]
    if "of" in entry:
        found = parts("exemplars")[entry["of"]]["items"][: entry["first"]]
    else:
        found = entry["items"] if "items" in entry else rows(entry["split"], entry["ids"])
    digest = hashlib.sha256("".join(shots(entry["template"], found)).encode()).hexdigest()
    if digest != entry["sha256"]:
        raise UserError(
            f"The exemplars {name} have the sha256 {digest[:12]}…, not the frozen"
            f" {entry['sha256'][:12]}…: use the published data."
        )
    return found


def shots(template: str, found: list[Fields]) -> list[str]:
    """Write each exemplar as the text that stands before an item, separator included."""
    form = parts("templates")[template]
    return [
        fill(form["prompt"], fields) + fill(form["answer"], fields) + form["separator"]
        for fields in found
    ]


def prompt(
    protocol: Protocol, found: list[Fields], before: str, fields: Fields
) -> tuple[str, list[Message], str]:
    """Make an item's prompt.

    `before` is the text of the exemplars `found`, joined. Returns plain text, the same as messages
    of a chat, and what opens the chat's answer.
    """
    form = parts("templates")[protocol.template]
    asked = fill(form["prompt"], fields)
    text = before + asked
    prefill = fill(form.get("prefill", ""), fields)
    if not protocol.turns:
        return text, [{"role": "user", "content": text}], prefill
    turns: list[Message] = []
    for shot in found:
        turns += [
            {"role": "user", "content": fill(form["prompt"], shot)},
            {"role": "assistant", "content": fill(form["answer"], shot)},
        ]
    return text, [*turns, {"role": "user", "content": asked}], prefill


def stops(protocol: Protocol) -> tuple[str, ...]:
    """List the strings that end a completion when it is scored."""
    return (
        tuple(parts("templates")[protocol.template]["stops"])
        if protocol.stops == "template"
        else ()
    )


def cut(completion: str, ends: tuple[str, ...]) -> str:
    """Keep what stands before the first of the stop strings: "a[DONE]b" -> "a"."""
    return min((completion.split(end, 1)[0] for end in ends), key=len, default=completion)
