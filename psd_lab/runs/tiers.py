"""Tiers: how much of every experiment is run, and on what. Decoders are never part of it: they
belong to experiments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from psd_lab import paths
from psd_lab.runs.config import TIERS, ExperimentConfig, digest, read_yaml
from psd_lib.errors import UserError

SCOPE = "tier.yaml"
CITED = "published"  # the tier whose rows, tables and figures are committed and stand in the README


@dataclass(frozen=True)
class Tier:
    """How much of every experiment is run: the first `limit` examples of each task, None for all.

    `limits` names experiments that take another number, `tasks_of` experiments that take other
    tasks. What else is set stands for what the experiments say: `models`, `tasks`; and
    `experiments` restricts them by name. `profile` is the benchmarks' protocol, `data_dir` a folder
    with their files, `dtype` what weights are loaded as.
    """

    name: str
    limit: int | None = None
    limits: Mapping[str, int] | None = None
    models: tuple[str, ...] | None = None
    tasks: tuple[str, ...] | None = None
    tasks_of: Mapping[str, tuple[str, ...]] | None = None
    experiments: tuple[str, ...] | None = None
    profile: str | None = None
    data_dir: str | None = None
    dtype: str = "float32"

    def __post_init__(self):
        if not isinstance(self.limits or {}, Mapping):
            raise UserError(
                f"limits of tier {self.name!r} must give experiments a number each, not"
                f" {self.limits!r}."
            )
        for limit in (self.limit, *(self.limits or {}).values()):
            if limit is not None and (
                isinstance(limit, bool) or not isinstance(limit, int) or limit < 1
            ):
                raise UserError(
                    f"limit of tier {self.name!r} must be a whole number of at least 1, not"
                    f" {limit!r}."
                )
        for key in ("models", "tasks", "experiments"):
            if getattr(self, key) is not None:
                object.__setattr__(self, key, self._names(key, getattr(self, key)))
        if self.tasks_of is not None:
            if not isinstance(self.tasks_of, Mapping):
                raise UserError(
                    f"tasks_of of tier {self.name!r} must give experiments a list of tasks each,"
                    f" not {self.tasks_of!r}."
                )
            chosen = {
                name: self._names(f"tasks_of {name}", tasks)
                for name, tasks in self.tasks_of.items()
            }
            object.__setattr__(self, "tasks_of", chosen)

    def _names(self, key: str, value: Any) -> tuple[str, ...]:
        if (
            isinstance(value, str)
            or not isinstance(value, Iterable)
            or not value
            or not all(isinstance(v, str) and v for v in value)
        ):
            raise UserError(
                f"{key} of tier {self.name!r} must be a list of names with at least one entry, not"
                f" {value!r}."
            )
        return tuple(dict.fromkeys(value))

    @classmethod
    def load(cls, name: str, folder: Path | None = None) -> Tier:
        """Read a tier from tiers.yaml; `mini:8` is the tier mini cut to 8 examples per task.

        A narrowed tier (see `narrow`) is read from the folder of its results. Raises UserError on
        an unknown name, listing the known ones, and on a value that a tier cannot have.
        """
        known = read_yaml(TIERS, folder)
        base, _, cut = str(name).partition(":")
        saved = paths.RESULTS / str(name) / SCOPE
        if base in known:
            values = known[base]
        elif folder is None and saved.is_file():
            values, cut = yaml.safe_load(saved.read_text(encoding="utf-8")), ""
        else:
            raise UserError(
                f"Unknown tier {name!r}: use one of {', '.join(known)}, or e.g."
                f" {next(iter(known))}:2 for fewer examples."
            )
        if cut and not cut.isdecimal():
            raise UserError(
                f"Tier {name!r} must end in a whole number of examples after the colon."
            )
        try:
            return cls(name, **{**values, **({"limit": int(cut), "limits": None} if cut else {})})
        except TypeError:
            accepted = ", ".join(key for key in cls.__dataclass_fields__ if key != "name")
            raise UserError(
                f"Tier {base!r} must be a mapping of {accepted}, not {values!r}."
            ) from None

    def narrow(self, **changes: Any) -> Tier:
        """This tier with other models, tasks, limit, ...; None changes nothing.

        The result has a name of its own, so its tables never replace those of this tier: `mini:8`
        where only the limit differs, else e.g. `mini@3f2a1c` after the content. A limit, or a list
        of tasks, is one for all experiments.
        """
        given = {key: value for key, value in changes.items() if value is not None}
        given |= {
            of: None for one, of in (("limit", "limits"), ("tasks", "tasks_of")) if one in given
        }
        changes = {key: value for key, value in given.items() if value != getattr(self, key)}
        if not changes:
            return self
        changed = replace(self, **changes)
        if changes.keys() <= {"limit", "limits"} and ":" not in self.name and "@" not in self.name:
            return replace(changed, name=f"{self.name}:{changed.limit}")
        base = self.name.partition(":")[0].partition("@")[0]
        return replace(changed, name=f"{base}@{digest(changed.values())[:6]}")

    def values(self) -> dict[str, Any]:
        """Everything but the name, as plain data without what is not set."""
        found = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }
        found["tasks_of"] = self.tasks_of and {
            name: list(tasks) for name, tasks in self.tasks_of.items()
        }
        return {key: value for key, value in found.items() if key != "name" and value is not None}

    def limit_of(self, experiment: str) -> int | None:
        """How many examples of each task an experiment takes, None for all."""
        return (self.limits or {}).get(experiment, self.limit)

    @property
    def folder(self) -> Path:
        """Where the rows, tables, figures and executed notebooks of this tier are written."""
        return paths.RESULTS / self.name

    def save(self) -> None:
        """Write a narrowed tier into its folder, where `load` (also of a notebook's process) finds
        it.
        """
        if "@" in self.name:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / SCOPE).write_text(
                yaml.safe_dump(self.values(), sort_keys=False), encoding="utf-8"
            )

    def apply(self, config: ExperimentConfig) -> ExperimentConfig:
        """An experiment on this tier's models and tasks; decoders and options stay the
        experiment's.
        """
        tasks = (self.tasks_of or {}).get(config.name, self.tasks or config.tasks)
        return replace(config, models=self.models or config.models, tasks=tasks)
