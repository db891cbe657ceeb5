"""Experiments as data: a YAML file lists models, tasks and decoders; lists multiply out."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from psd_lab import yaml_reader
from psd_lab.paths import CONFIGS, files, find
from psd_lab.schema import Names, Text, accept, checked
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.models import Family

ROW_VERSION = 1
TIERS = "tiers"
KINDS: dict[str, Callable[[Family], bool]] = {
    "bidirectional": lambda family: family.sees_future,
    "block_causal": lambda family: not family.sees_future,
    "unshifted": lambda family: not family.shift,
}


def digest(value: Any) -> str:
    """Name a json-able value: first 12 hex digits of the sha256 of its canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def config_hash(
    fingerprint: str,
    task: str,
    split: str,
    data_hash: str,
    decode: Mapping[str, Any],
    **more: str | None,
) -> str:
    """Name everything that decides a row besides its example, so equal work is found again across
    experiments.

    `more` names what only some rows have (dtype, profile, the second model's fingerprint); None is
    as if it were not there, so that rows written before it existed keep their names.
    """
    parts = {
        "version": ROW_VERSION,
        "model": fingerprint,
        "task": task,
        "split": split,
        "data": data_hash,
    }
    return digest(
        {
            **parts,
            "decode": decode,
            **{key: value for key, value in more.items() if value is not None},
        }
    )


@checked("experiment")
class ExperimentConfig:
    """What an experiment decodes: every model on every task's `split` with every decoder.

    `decoders` are mappings with a `decoder` name and options of `psd_lib.generate`; an option given
    as a list stands for one decoder per value, several lists for their product. `options` hold for
    every decoder that does not say otherwise. `{model}` in an option's text is the model's name.
    `only` names a kind of model (`KINDS`) that alone runs the entry.
    """

    name: Text
    question: Text
    models: Names
    tasks: Names
    decoders: Annotated[
        tuple[dict[str, Any], ...],
        Field(min_length=1, description="a list of mappings with at least one entry"),
    ]
    options: Annotated[dict[str, Any], Field(description="a mapping of options")] = Field(
        default_factory=dict
    )
    split: Text = "test"

    def __post_init__(self) -> None:
        owner = f"experiment {self.name!r}"
        for entry in self.decoders:
            if not entry.get("decoder"):
                raise UserError(
                    f"Each decoder of {owner} must be a mapping with a `decoder` name, not"
                    f" {entry!r}."
                )
            if entry.get("only", "bidirectional") not in KINDS:
                raise UserError(
                    f"`only` of a decoder of {owner} must be one of {', '.join(KINDS)}, not"
                    f" {entry['only']!r}."
                )
        for key, value in itertools.chain(*(one.items() for one in (self.options, *self.decoders))):
            if value == []:
                raise UserError(
                    f"{key} of {owner} has no value: an option given as a list needs at least one."
                )

    @classmethod
    def load(cls, name: str, folder: Path | None = None) -> ExperimentConfig:
        """Read `<name>.yaml` of data/configs or of `folder`.

        Raises:
            UserError: The experiment is unknown, a key is missing or unknown, or a value is not
                what the key takes.
        """
        keys = [field.name for field in fields(cls) if field.name != "name"]
        return cls(name=name, **read_yaml(name, folder, keys))

    def expand(self, family: Family | None = None) -> list[dict[str, Any]]:
        """List every decoder once, as `{"decoder": name, option: value, ...}`, lists multiplied out
        in file order.

        With `family`, without the entries that are for other kinds of models.
        """
        found = {}
        for entry in self.decoders:
            options = {key: value for key, value in entry.items() if key != "only"}
            if family is None or "only" not in entry or KINDS[entry["only"]](family):
                found |= {digest(one): one for one in _product({**self.options, **options})}
        return list(found.values())


def names(folder: Path | None = None) -> list[str]:
    """List the experiments that have a file."""
    return [path.stem for path in files(folder or CONFIGS, "*.yaml") if path.stem != TIERS]


def _product(entry: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    values = [value if isinstance(value, list) else [value] for value in entry.values()]
    return (dict(zip(entry, choice, strict=True)) for choice in itertools.product(*values))


def read_yaml(name: str, folder: Path | None, keys: Iterable[str] | None = None) -> dict[str, Any]:
    """Read the mapping in `<name>.yaml` of data/configs or of `folder`.

    Args:
        keys: What the mapping may hold; None for anything.

    Raises:
        UserError: There is no such file, or it does not hold a mapping of these keys.
    """
    known = names(folder)
    path = find(folder or CONFIGS, f"{name}.yaml")
    if not known and not path.is_file():
        raise UserError(
            f"There is no file {path}: PSD_HOME, where it is set, must name a copy of the project."
        )
    if name not in (*known, TIERS):
        raise UserError(f"Unknown experiment {name!r}: use one of {', '.join(known)}.")
    data = yaml_reader.read_file(path)
    if not isinstance(data, dict):
        raise UserError(f"{path} must hold a mapping of keys to values.")
    if keys is not None:
        accept(data, keys, f"Experiment {name!r}")
    return data
