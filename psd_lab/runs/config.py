"""Experiments as data: a YAML file lists models, tasks and decoders; lists of values multiply out."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from psd_lab.paths import CONFIGS
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


@dataclass(frozen=True)
class ExperimentConfig:
    """What an experiment decodes: every model on every task's `split` with every decoder.

    `decoders` are mappings with a `decoder` name and options of `psd_lib.generate`; an option given
    as a list stands for one decoder per value, several lists for their product. `options` hold for
    every decoder that does not say otherwise. `{model}` in an option's text is the model's name.
    `only` names a kind of model (`KINDS`) that alone runs the entry.
    """

    name: str
    question: str
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    decoders: tuple[Mapping[str, Any], ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    split: str = "test"

    @classmethod
    def load(cls, name: str, folder: Path | None = None) -> ExperimentConfig:
        """Read `<name>.yaml`; UserError on an unknown experiment, a missing or unknown key, or a
        mistyped value.
        """
        data = read_yaml(name, folder)
        accepted = [key for key in cls.__dataclass_fields__ if key != "name"]
        unknown = [key for key in data if key not in accepted]
        missing = [key for key in accepted if key not in data and key not in ("options", "split")]
        if unknown or missing:
            wrong = f"unknown key {unknown[0]!r}" if unknown else f"no key {missing[0]!r}"
            raise UserError(f"Experiment {name!r} has {wrong}: it takes {', '.join(accepted)}.")
        for key in ("models", "tasks", "decoders"):
            if not isinstance(data[key], list) or not data[key]:
                raise UserError(
                    f"{key} of experiment {name!r} must be a list with at least one entry."
                )
            data[key] = tuple(data[key])
        if not isinstance(data.get("options", {}), dict):
            raise UserError(
                f"options of experiment {name!r} must be a mapping, not {data['options']!r}."
            )
        for entry in data["decoders"]:
            if not isinstance(entry, dict) or "decoder" not in entry:
                raise UserError(
                    f"Each decoder of experiment {name!r} must be a mapping with a `decoder` name,"
                    f" not {entry!r}."
                )
            if entry.get("only", "bidirectional") not in KINDS:
                raise UserError(
                    f"`only` of a decoder of experiment {name!r} must be one of {', '.join(KINDS)},"
                    f" not {entry['only']!r}."
                )
        return cls(name=name, **data)

    def to_yaml(self) -> str:
        """Write the text that `load` reads."""
        data = json.loads(
            json.dumps({key: value for key, value in asdict(self).items() if key != "name"})
        )
        return yaml.safe_dump(data, sort_keys=False)

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
    return sorted(path.stem for path in (folder or CONFIGS).glob("*.yaml") if path.stem != TIERS)


def _product(entry: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    values = [value if isinstance(value, list) else [value] for value in entry.values()]
    return (dict(zip(entry, choice, strict=True)) for choice in itertools.product(*values))


def read_yaml(name: str, folder: Path | None) -> dict[str, Any]:
    """Read `<name>.yaml` of data/configs or of `folder`; UserError where it is missing or no
    mapping.
    """
    path = (folder or CONFIGS) / f"{name}.yaml"
    if not path.is_file():
        raise UserError(
            f"Unknown experiment {name!r}: use one of"
            f" {', '.join(names(folder)) or 'none, there is no file'}."
        )
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not readable YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} must hold a mapping of keys to values.")
    return data
