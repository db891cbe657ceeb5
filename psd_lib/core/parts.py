"""The parts of a decoder: from names and options to strategies, and from stored data back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from psd_lib.core.accept import Replay
from psd_lib.core.checks import known
from psd_lib.core.registry import DECODERS, KINDS, Decoder
from psd_lib.errors import UserError

PARTS = ("policy", "drafter", "acceptor", "stop")
RUN_OPTIONS = ("block_length", "gen_length", "temperature", "seed", "cache")
# Rows were named before drafters were called so: stored configurations keep the word.
STORED = {"drafter": "builder"}
EXACT_RULE, RECONSTRUCTED = "exact rule", "reconstructed"


def parts_of(decoder: Decoder) -> dict[str, Any]:
    """Return a decoder's parts by kind; what has nothing to accept is accepted by replay."""
    parts = {kind: getattr(decoder, kind) for kind in PARTS}
    return {**parts, "acceptor": parts["acceptor"] or Replay()}


def notes_of(described: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return fidelity and notes of a config that was stored as data, for tables made from rows.

    Parts that are not registered in this process (a user's own, from elsewhere) have none.
    """
    found: list[Any] = [DECODERS.get(described["decoder"])]
    for kind in PARTS:
        name = described.get(STORED.get(kind, kind), {}).get("name")
        found.append(KINDS[kind][1].get(name))
    there = [one for one in found if one is not None]
    rule = RECONSTRUCTED if any(one.reconstructed for one in there) else EXACT_RULE
    return rule, [one.note for one in there if one.note]


def renamed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Accept a part under the word that stored configurations have for it, too."""
    found = dict(options)
    for name, stored in STORED.items():
        if stored in found:
            if name in found:
                raise UserError(f"give either {name} or {stored}, which mean the same, not both.")
            found[name] = found.pop(stored)
    return found


def part(kind: str, value: Any) -> Any:
    """Return the part that a name or an object stands for; raise UserError for anything else."""
    base, registry = KINDS[kind]
    if isinstance(value, str):
        known(kind, value, registry)
        return registry[value]()
    if not isinstance(value, base):
        raise UserError(
            f"{kind} must be one of {', '.join(registry)} or an object of a class that inherits "
            f"psd_lib.{base.__name__}, got {value!r}."
        )
    return value


def from_description(kind: str, described: Any) -> Any:
    """Return the part that was described; raise UserError for unknown names and options."""
    registry = KINDS[kind][1]
    if not isinstance(described, Mapping) or "name" not in described:
        raise UserError(f"{kind} must be a mapping with a name, got {described!r}.")
    known(kind, described["name"], registry)
    options = {key: value for key, value in described.items() if key != "name"}
    return registry[described["name"]].from_description(options)


def open_fields(strategy: Any) -> tuple[Any, ...]:
    """Return the fields that are options."""
    return tuple(f for f in fields(strategy) if f.init)


def accepted(decoder: Decoder, parts: Mapping[str, Any]) -> list[str]:
    """Return the options that a decoder takes with these parts."""
    names = [
        f.name
        for kind in PARTS
        if kind in decoder.options and parts[kind] is not None
        for f in open_fields(parts[kind])
    ]
    return [*names, *decoder.exchange, *RUN_OPTIONS]
