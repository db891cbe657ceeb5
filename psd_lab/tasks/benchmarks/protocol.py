"""Evaluation protocols as data: one YAML per profile, every value with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import yaml

from psd_lab import paths
from psd_lib.errors import UserError

CHAT = ("never", "always", "if_instruct")
BLOCKS = ("whole", "native")


@dataclass(frozen=True)
class Protocol:
    """How one profile runs one benchmark. Sources of the values are in `sources`, by field;
    `inferred` names the fields whose value the source does not state.

    `chat`: never, always, or if_instruct (the model's name contains "instruct"); `turns`: exemplars
    are turns of the dialogue (else part of the one prompt); `bos`: model_types whose prompt begins
    with the BOS token; `length` and `block` in tokens, block also "whole" (the length) or "native"
    (the model's own); `stops`: "template" (those of the template end a completion) or "none";
    `headline`: the extractor or code version that decides, fixed beforehand; `timeout` in seconds
    of CPU per program.
    """

    profile: str
    template: str
    exemplars: str | None
    chat: str
    turns: bool
    bos: tuple[str, ...]
    length: int
    block: int | str
    tokens_per_step: int
    temperature: float
    top_p: float | None
    threshold: float | None
    early_stop: bool
    counted: str
    eos_switches: bool
    stops: str
    headline: str
    timeout: float
    sources: Mapping[str, str]
    inferred: tuple[str, ...]

    def uses_chat(self, model: str) -> bool:
        """Decides whether a model's prompts go through its chat template; "LLaDA-1.5" is not an
        instruct name.
        """
        return self.chat == "always" or (self.chat == "if_instruct" and "instruct" in model.lower())

    def block_length(self, native: int) -> int:
        """The block length in tokens for a model whose own is `native`."""
        return {"whole": self.length, "native": native}.get(self.block, self.block)

    def settings(self) -> dict[str, Any]:
        """What decides prompts and scores, without where it is from: plain data for rows and
        hashes.
        """
        return {
            key: value for key, value in asdict(self).items() if key not in ("sources", "inferred")
        }


SETTINGS = tuple(
    field.name for field in fields(Protocol) if field.name not in ("profile", "sources", "inferred")
)


def profiles() -> list[str]:
    """Lists the profiles, variants as `profile:variant`."""
    found = []
    for path in sorted(_folder().glob("*.yaml")):
        found += [
            path.stem,
            *(f"{path.stem}:{variant}" for variant in _read(path.stem).get("variants", {})),
        ]
    return found


def runs(profile: str, task: str) -> bool:
    """Decides whether a profile runs a benchmark."""
    raw, layers = _layers(profile)
    return task in raw["tasks"] and not any(task in layer.get("refused", {}) for layer in layers)


def _layers(profile: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if profile not in profiles():
        raise UserError(f"Unknown profile {profile!r}: use one of {', '.join(profiles())}.")
    name, _, variant = profile.partition(":")
    raw = _read(name)
    return raw, [raw, raw["variants"][variant]] if variant else [raw]


def find(profile: str, task: str) -> Protocol:
    """Finds how `profile` (or `profile:variant`) runs `task`.

    Raises UserError on an unknown profile and when the profile does not run the task, with the
    reason it gives.
    """
    raw, layers = _layers(profile)
    if not runs(profile, task):
        why = {key: text for layer in layers for key, text in layer.get("refused", {}).items()}.get(
            task, "it is not defined there"
        )
        known = [key for key in raw["tasks"] if runs(profile, key)]
        raise UserError(
            f"Profile {profile} does not run {task}: {why}; it runs {', '.join(known)}."
        )
    values: dict[str, Any] = {}
    for layer in layers:
        values.update(layer.get("common", {}))
        values.update(layer["tasks"].get(task, {}))
    return _protocol(profile, values, raw["sources"])


def _protocol(profile: str, values: dict[str, Any], sources: dict[str, str]) -> Protocol:
    wrong = sorted(set(values) ^ set(SETTINGS))
    if wrong:
        raise UserError(
            f"Profile {profile} must give exactly {', '.join(SETTINGS)}; missing or unknown:"
            f" {', '.join(wrong)}."
        )
    for key, value in values.items():
        if (
            not isinstance(value, dict)
            or not {"is", "from"} <= set(value) <= {"is", "from", "inferred"}
            or value["from"] not in sources
        ):
            raise UserError(
                f"{key} of profile {profile} must be {{is: <value>, from: <one of"
                f" {', '.join(sources)}>}}, not {value!r}."
            )
    plain = {
        key: tuple(value["is"]) if isinstance(value["is"], list) else value["is"]
        for key, value in values.items()
    }
    if plain["chat"] not in CHAT or not (
        isinstance(plain["block"], int) or plain["block"] in BLOCKS
    ):
        raise UserError(
            f"Profile {profile}: chat must be one of {', '.join(CHAT)} and block a number or one of"
            f" {', '.join(BLOCKS)}."
        )
    return Protocol(
        profile=profile,
        **plain,
        sources={key: sources[value["from"]] for key, value in values.items()},
        inferred=tuple(key for key, value in values.items() if value.get("inferred")),
    )


def parts(name: str) -> dict[str, Any]:
    """Reads what profiles share: "templates" or "exemplars"."""
    return _read(f"parts/{name}")


def _folder():
    return paths.DATA / "profiles"


@lru_cache(maxsize=32)
def _read(name: str) -> dict[str, Any]:
    return yaml.safe_load((_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
