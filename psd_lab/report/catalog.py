"""What the package knows about its decoders, as data: titles, options, parts, sources and notes.

Reports select, name and explain decoders without importing them, because importing a strategy class
imports torch. `data/decoders.json` holds the facts; `python -m psd_lab.decoders` writes it from the
registries. Rows of a decoder that a user registered bring the facts about it along (see `learn`);
without them such a decoder goes by its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from psd_lab import paths

KINDS = ("policy", "drafter", "acceptor", "stop")
EXACT_RULE, RECONSTRUCTED = "exact rule", "reconstructed"
FILE = "decoders.json"
OWN = "registered by the user"


@dataclass(frozen=True)
class Strategy:
    """A policy, drafter, acceptor or stop rule: its title, its options with their defaults, and
    the option that names a second trained model.
    """

    name: str
    title: str
    options: Mapping[str, Any] = field(default_factory=dict)
    second_model: str = ""
    reconstructed: bool = False
    note: str = ""


@dataclass(frozen=True)
class Method:
    """A decoder by name: its usual strategies (name and options by kind), which kinds a user may
    exchange, and of which kinds a user may set the options.
    """

    name: str
    title: str
    usual: Mapping[str, Mapping[str, Any]]
    exchanged: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    source: str = OWN
    reconstructed: bool = False
    note: str = ""

    def usual_name(self, kind: str) -> str:
        """The name of the usual strategy of a kind; "" for a stop rule that there is not."""
        return self.usual.get(kind, {}).get("name", "")


@cache
def shipped() -> dict[str, dict[str, Any]]:
    """The facts as stored, by kind and name."""
    return json.loads(paths.find(paths.DATA, FILE).read_text(encoding="utf-8"))


@cache
def _known() -> dict[str, dict[str, Any]]:
    return {kind: dict(facts) for kind, facts in shipped().items()}


def learn(registered: Mapping[str, Mapping[str, Any]]) -> None:
    """Take in the facts about decoders that a user registered, as `psd_lab.decoders` gives them."""
    for kind, facts in registered.items():
        _known()[kind].update(facts)


def forget() -> None:
    """Drop everything that was learnt."""
    _known.cache_clear()


def names(kind: str) -> list[str]:
    """The known names of a kind: "decoder", "cache" or one of `KINDS`."""
    return list(_known()[kind])


def method(name: str) -> Method:
    """A decoder's facts; an unknown one is a policy of that name with a chain and replay."""
    facts = _known()["decoder"].get(name)
    if facts is None:
        usual = {"policy": name, "drafter": "chain", "acceptor": "replay"}
        return Method(name, name, {kind: {"name": part} for kind, part in usual.items()})
    return Method(name, **{key: _frozen(value) for key, value in facts.items()})


def strategy(kind: str, name: str) -> Strategy:
    """A strategy's facts; an unknown one goes by its name and has no options."""
    facts = _known()[kind].get(name, {"title": name})
    return Strategy(name, **{key: _frozen(value) for key, value in facts.items()})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
