"""Describe the registered decoders as data, so that reports explain them without importing torch.

`python -m psd_lab.decoders` writes `data/decoders.json`, which `psd_lab.report.catalog` reads; a
test fails when the file is older than the registries.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any

from psd_lab import paths
from psd_lab.files import write_atomically
from psd_lab.report import catalog
from psd_lib import ACCEPTORS, CACHES, DECODERS, DRAFTERS, POLICIES, STOPS
from psd_lib.core.parts import parts_of
from psd_lib.core.registry import Decoder
from psd_lib.core.strategy import Strategy
from psd_lib.errors import UserError

REGISTRIES = {"policy": POLICIES, "drafter": DRAFTERS, "acceptor": ACCEPTORS, "stop": STOPS}


def described() -> dict[str, dict[str, Any]]:
    """Every decoder, strategy and cache plan that this process knows, as plain data."""
    return {
        "decoder": {name: _decoder(name, decoder) for name, decoder in DECODERS.items()},
        **{
            kind: {name: _strategy(strategy) for name, strategy in registry.items()}
            for kind, registry in REGISTRIES.items()
        },
        "cache": {name: {} for name in CACHES},
    }


def registered() -> dict[str, dict[str, Any]]:
    """What the user has registered in this process besides the package's own decoders."""
    shipped = catalog.shipped()
    return {
        kind: {name: facts for name, facts in known.items() if name not in shipped[kind]}
        for kind, known in described().items()
    }


def write() -> None:
    """Write the file that reports read."""
    kinds = [f"{json.dumps(kind)}: {{\n{_lines(known)}\n}}" for kind, known in described().items()]
    write_atomically(paths.DATA / catalog.FILE, "{{\n{}\n}}\n".format(",\n".join(kinds)))


def _lines(known: dict[str, Any]) -> str:
    """One line for each name."""
    facts = {name: json.dumps(known[name], ensure_ascii=False) for name in sorted(known)}
    return ",\n".join(f"  {json.dumps(name)}: {text}" for name, text in facts.items())


def _decoder(name: str, decoder: Decoder) -> dict[str, Any]:
    """A decoder: what it is made of unless the user says otherwise, and what the user may say."""
    parts = {kind: part for kind, part in parts_of(decoder).items() if part is not None}
    return {
        "title": decoder.title or name,
        "usual": {
            kind: {
                "name": part.name,
                **{f.name: _plain(getattr(part, f.name)) for f in fields(part) if f.init},
            }
            for kind, part in parts.items()
        },
        "exchanged": list(decoder.exchange),
        "open": list(decoder.options),
        "source": decoder.source,
        "reconstructed": decoder.reconstructed,
        "note": decoder.note,
    }


def _strategy(strategy: type[Strategy]) -> dict[str, Any]:
    options = [f for f in fields(strategy) if f.init]  # type: ignore[arg-type]
    return {
        "title": strategy.title or strategy.name,
        "options": {f.name: _plain(f.default) for f in options if f.default is not MISSING},
        "second_model": _second_model(strategy),
        "reconstructed": strategy.reconstructed,
        "note": strategy.note,
    }


def _second_model(strategy: type[Strategy]) -> str:
    """The option that names a second trained model, "" for none."""
    try:
        return strategy().needs.second_model
    except UserError:  # calibrated drafts say what they need once they have a graph
        return ""


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else None


if __name__ == "__main__":
    write()
