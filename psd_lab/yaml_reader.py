"""YAML as this project reads and writes it: plain data, numbers as people write them, no key twice.

PyYAML follows YAML 1.1, where `1e-1` is text, `1:30` is ninety and a repeated key silently wins.
Here numbers follow YAML 1.2, dates stay text, and whatever cannot be read is one sentence with the
file and the line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, ClassVar

import yaml

from psd_lib.errors import UserError

_TAG = "tag:yaml.org,2002:"
_DIGITS = "[0-9]+(?:_[0-9]+)*"
_NUMBER = rf"(?:\.[0-9]+|{_DIGITS}(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
# What a plain scalar may begin with, and its whole pattern; the first that fits decides.
_SCALARS = {
    "null": ("~nN", r"(?:~|null|Null|NULL|)\Z"),
    "bool": ("yYnNtTfFoO", r"(?:(?i:yes|no|on|off)|true|True|TRUE|false|False|FALSE)\Z"),
    "int": ("-+0123456789", rf"[-+]?(?:{_DIGITS}|0o[0-7]+|0x[0-9a-fA-F]+)\Z"),
    "float": ("-+.0123456789", rf"(?:[-+]?(?:{_NUMBER}|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN))\Z"),
}


def read_file(path: str | Path) -> Any:
    """Read the one document of a YAML file.

    Raises:
        UserError: the file is missing, a folder, unreadable, not in UTF-8 or not valid YAML.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text in UTF-8: byte {error.start} is wrong.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    return read_text(text, str(path))


def read_text(text: str, source: str) -> Any:
    """Read the one document in `text`; errors call it `source`.

    Raises:
        UserError: `text` is not valid YAML, or a mapping has a key twice.
    """
    line, problem = _parse(text, found := [])
    if problem:
        raise UserError(f"{source}, line {line}: {problem}.")
    return found[0]


def read_value(name: str, text: str) -> Any:
    """Read the value that a command line gives to option `name`, such as `0.9` or `[1, 2]`.

    Raises:
        UserError: `text` is empty or not valid YAML.
    """
    _, problem = _parse(text, found := [])
    if problem:
        raise UserError(
            f"{_short(text)} is not a value for {name}: {problem}; if it is meant as text, put it"
            f" between quotes, as in {name}='\"text\"'."
        )
    if found[0] is None and text.strip().lower() not in ("null", "~"):
        raise UserError(f"{name} has no value: write {name}=VALUE, or {name}=null for none.")
    return found[0]


def dump(value: Any) -> str:
    """Write plain data as the YAML text that `read_text` reads back as the same data."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else repr(text[:60]) + "..."


def _parse(text: str, found: list[Any]) -> tuple[int, str]:
    """Append the document to `found`, or return the line of the first fault and what it is."""
    loader = None
    try:
        loader = _Loader(text)
        found.append(loader.get_single_data())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return mark.line + 1 if mark else 1, (error.problem or str(error)).rstrip(".")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return line, f"the character #x{error.character:04x} is not allowed"
    except RecursionError:
        return loader.line + 1 if loader else 1, "it is nested too deeply"
    return 0, ""


def _resolvers() -> dict[str, list[tuple[str, re.Pattern]]]:
    """Sort the scalars by their first character, as PyYAML looks them up ("" for an empty one)."""
    found: dict[str, list[tuple[str, re.Pattern]]] = {}
    for tag, (first, pattern) in _SCALARS.items():
        for character in [*first, *([""] if tag == "null" else [])]:
            found.setdefault(character, []).append((_TAG + tag, re.compile(pattern)))
    return found


class _Loader(yaml.SafeLoader):
    """A loader of plain data. Recursive aliases and tags of other types are errors."""

    yaml_implicit_resolvers: ClassVar = _resolvers()
    yaml_constructors: ClassVar = {
        tag: build
        for tag, build in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(_TAG) in ("null", "bool", "str")
    }

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        """Refuse a key that the mapping has already."""
        lines: dict[Hashable, int] = {}
        for key_node, _ in getattr(node, "value", []):
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):
                if key in lines:
                    raise _fault(key_node, f"the key {key!r} stands in line {lines[key]} already")
                lines[key] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes exactly the texts that `_Loader` would take for something else."""

    yaml_implicit_resolvers: ClassVar = _Loader.yaml_implicit_resolvers


def _fault(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _int(loader: _Loader, node: yaml.Node) -> int:
    try:
        text = loader.construct_scalar(node)
        return int(text, 0 if text.lstrip("+-")[:2] in ("0o", "0x") else 10)
    except ValueError:
        raise _fault(node, "this is not a whole number that fits") from None


def _float(loader: _Loader, node: yaml.Node) -> float:
    text = loader.construct_scalar(node)
    try:
        number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        raise _fault(node, f"{_short(text)} is not a number") from None
    if math.isinf(number) and "inf" not in text.lower():
        raise _fault(node, f"{_short(text)} is too large for a number")
    return number


_Loader.add_constructor(_TAG + "int", _int)
_Loader.add_constructor(_TAG + "float", _float)
# Building at once, children first, makes an alias to its own parent an error instead of a loop.
_Loader.add_constructor(_TAG + "seq", lambda self, node: self.construct_sequence(node, deep=True))
_Loader.add_constructor(_TAG + "map", lambda self, node: self.construct_mapping(node, deep=True))
