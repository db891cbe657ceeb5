"""Building blocks of the code tasks: what each says, and the two ways in which it is written.

A block takes one value of a type and gives one of a type: xs (list of integers), n (integer), s
(string), ws (list of words), flag (truth value). The type is also the name of the variable that
holds it. The blocks themselves are data, one file per type that they take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from psd_lab.tasks.templates import read

FILES = {"xs": "list_blocks", "n": "number_blocks", "s": "text_blocks", "ws": "words_blocks"}


@dataclass(frozen=True)
class Primitive:
    """One block; `{k}` stands for its constant.

    `says` are phrasings in the imperative, `expression` is the short style, `lines` the long style
    that leaves its result in the variable named `gives`.
    """

    key: str
    takes: str
    gives: str
    says: tuple[str, ...]
    expression: str
    lines: tuple[str, ...]
    constants: tuple[str, ...] = ("",)


Styles = tuple[str, str, tuple[str, ...]]


def _item(takes: str) -> str:
    """Name one element: x of xs, w of ws, c of the text s."""
    return "c" if takes == "s" else takes[0]


def _map(takes: str, expression: str) -> Styles:
    item = _item(takes)
    loop = (f"for {item} in {takes}:", f"    result.append({expression})")
    return (
        takes,
        f"[{expression} for {item} in {takes}]",
        ("result = []", *loop, f"{takes} = result"),
    )


def _filter(takes: str, condition: str) -> Styles:
    item = _item(takes)
    loop = (f"for {item} in {takes}:", f"    if {condition}:", f"        result.append({item})")
    return (
        takes,
        f"[{item} for {item} in {takes} if {condition}]",
        ("result = []", *loop, f"{takes} = result"),
    )


def _count(takes: str, condition: str) -> Styles:
    item = _item(takes)
    loop = (f"for {item} in {takes}:", f"    if {condition}:", "        n += 1")
    return "n", f"sum(1 for {item} in {takes} if {condition})", ("n = 0", *loop)


def _chars(takes: str, condition: str) -> Styles:
    loop = ("for c in s:", f"    if {condition}:", "        out += c")
    return takes, f'"".join(c for c in s if {condition})', ('out = ""', *loop, "s = out")


# Blocks of one of these forms follow from one expression; the others give both styles themselves.
FORMS: dict[str, Callable[[str, str], Styles]] = {
    "map": _map,
    "filter": _filter,
    "count": _count,
    "chars": _chars,
}


def _block(takes: str, entry: dict[str, Any]) -> Primitive:
    form = next((name for name in FORMS if name in entry), None)
    if form is None:
        gives, short, long = entry["gives"], entry["short"], tuple(entry["long"].split("\n"))
    else:
        gives, short, long = FORMS[form](takes, entry[form])
    constants = tuple(entry.get("constants", ())) or ("",)
    return Primitive(entry["key"], takes, gives, tuple(entry["says"]), short, long, constants)


PRIMITIVES = tuple(_block(takes, entry) for takes, name in FILES.items() for entry in read(name))


@cache
def taking(kind: str) -> tuple[Primitive, ...]:
    """List the blocks that accept a value of this type."""
    return tuple(block for block in PRIMITIVES if block.takes == kind)


@cache
def run_block(block: Primitive, constant: str) -> Callable[[Any], Any]:
    """Make the short style of a block a Python function of one value."""
    return eval(f"lambda {block.takes}: {block.expression.replace('{k}', constant)}")
