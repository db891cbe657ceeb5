"""Tiers: how much of every experiment is run, and on what. Decoders are never part of it: they
belong to experiments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from psd_lab import paths, yaml_reader
from psd_lab.files import write_atomically
from psd_lab.runs.config import TIERS, ExperimentConfig, digest, names, read_yaml
from psd_lab.schema import Count, Names, Text, accept, checked
from psd_lib.errors import UserError

SCOPE = "tier.yaml"
CITED = "published"  # the tier whose rows, tables and figures are committed and stand in the README
Dtype = Literal["float32", "float64", "bfloat16", "float16"]
IDENTITY = ("base", "cut", "digest")
_COUNT = "a whole number of at least 1, or null for all"
_NAMES = "a list of names with at least one entry"


@checked("tier", name="base")
class Tier:
    """How much of every experiment is run: the first `limit` examples of each task, None for all.

    `limits` gives experiments another number by name, `tasks_of` other tasks. What else is set
    stands for what the experiments say: `models`, `tasks`; and `experiments` restricts them by
    name. `profile` is the benchmarks' protocol, `data_dir` a folder with their files, `dtype` what
    weights are loaded as.

    A tier is identified by its `base`, the name in tiers.yaml; where less of it is run also by
    `cut`, the number of examples per task, or, where anything else differs, by `digest` of its
    values.
    """

    base: Annotated[
        str,
        Field(
            pattern=r"^\w[\w.-]*$",
            description="a name of letters, digits, dots and dashes, as it becomes a folder's",
        ),
    ]
    limit: Annotated[Count | None, Field(description=_COUNT)] = None
    limits: Annotated[
        Mapping[str, Count] | None,
        Field(description="a mapping of experiments to a whole number of at least 1 each"),
    ] = None
    models: Annotated[Names | None, Field(description=_NAMES)] = None
    tasks: Annotated[Names | None, Field(description=_NAMES)] = None
    tasks_of: Annotated[
        Mapping[str, Names] | None,
        Field(description="a mapping of experiments to a list of tasks each"),
    ] = None
    experiments: Annotated[Names | None, Field(description=_NAMES)] = None
    profile: Annotated[Text | None, Field(description="the name of a protocol")] = None
    data_dir: Annotated[Text | None, Field(description="a folder")] = None
    dtype: Annotated[Dtype, Field(description=f"one of {', '.join(get_args(Dtype))}")] = "float32"
    cut: Annotated[Count | None, Field(description=_COUNT)] = None
    digest: Annotated[str | None, Field(pattern="^[0-9a-f]{6}$", description="6 hex digits")] = None

    @property
    def name(self) -> str:
        """The tier's name for people, the command line and its folder: `mini`, `mini:8`,
        `mini@3f2a1c`.
        """
        if self.digest:
            return f"{self.base}@{self.digest}"
        return f"{self.base}:{self.cut}" if self.cut else self.base

    @classmethod
    def load(cls, name: str, folder: Path | None = None) -> Tier:
        """Read a tier from tiers.yaml; `mini:8` is the tier mini cut to 8 examples per task.

        A narrowed tier (see `narrow`) is read from the folder of its results.

        Raises:
            UserError: The name is unknown, or a tier cannot have one of the values.
        """
        known = read_yaml(TIERS, folder)
        if folder is None and re.fullmatch(r"[\w.-]+@[0-9a-f]{6}", str(name)):
            return cls._saved(name)
        base, colon, cut = str(name).partition(":")
        if base not in known:
            raise UserError(
                f"Unknown tier {name!r}: use one of {', '.join(known)}, or e.g."
                f" {next(iter(known))}:2 for fewer examples."
            )
        if colon and not re.fullmatch(r"[1-9][0-9]{0,8}", cut):
            raise UserError(
                f"Tier {name!r} must end in a whole number of examples, at least 1, after the"
                " colon."
            )
        tier = cls._of(base, known[base])
        tier._check_experiments(names(folder))
        return tier if not cut else replace(tier, limit=int(cut), limits=None, cut=int(cut))

    @classmethod
    def _of(cls, base: str, values: Any) -> Tier:
        keys = [field.name for field in fields(cls) if field.name not in IDENTITY]
        accept(values, keys, f"Tier {base!r}")
        return cls(base, **values)

    @classmethod
    def _saved(cls, name: str) -> Tier:
        """Read a narrowed tier from its folder, where `save` wrote it."""
        path = paths.RESULTS / name / SCOPE
        base, _, identity = name.partition("@")
        if not path.is_file():
            raise UserError(
                f"Unknown tier {name!r}: a narrowed tier is known where its results are, and there"
                f" is no {path}; give the tier {base} and its options again."
            )
        tier = cls._of(base, yaml_reader.read_file(path))
        if digest(tier.values())[:6] != identity:
            raise UserError(
                f"{path} was changed and is not the tier {name} any more: restore it, or give the"
                f" tier {base} and its options again."
            )
        return replace(tier, digest=identity)

    def _check_experiments(self, known: list[str]) -> None:
        for key in ("limits", "tasks_of", "experiments"):
            for one in getattr(self, key) or ():
                if one not in known:
                    raise UserError(
                        f"{key} of tier {self.name!r} names an unknown experiment {one!r}: use one"
                        f" of {', '.join(known) or 'none, there is no file'}."
                    )

    def narrow(self, **changes: Any) -> Tier:
        """Return this tier with other models, tasks, limit, ...; None changes nothing.

        The result has a name of its own, so its tables never replace those of this tier: `mini:8`
        where only the limit differs, else e.g. `mini@3f2a1c` after the content. A limit, or a list
        of tasks, is one for all experiments.
        """
        given = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in changes.items()
            if value is not None
        }
        given |= {
            of: None for one, of in (("limit", "limits"), ("tasks", "tasks_of")) if one in given
        }
        changes = {key: value for key, value in given.items() if value != getattr(self, key)}
        if not changes:
            return self
        if changes.keys() <= {"limit", "limits"} and not (self.cut or self.digest):
            return replace(self, **changes, cut=given["limit"])
        changed = replace(self, **changes, cut=None)
        return replace(changed, digest=digest(changed.values())[:6])

    def values(self) -> dict[str, Any]:
        """Return everything but the identity, as plain data without what is not set."""
        found = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }
        found["tasks_of"] = self.tasks_of and {
            name: list(tasks) for name, tasks in self.tasks_of.items()
        }
        return {
            key: value for key, value in found.items() if key not in IDENTITY and value is not None
        }

    def limit_of(self, experiment: str) -> int | None:
        """Return how many examples of each task an experiment takes, None for all."""
        return (self.limits or {}).get(experiment, self.limit)

    @property
    def folder(self) -> Path:
        """Where the rows, tables, figures and executed notebooks of this tier are written."""
        return paths.RESULTS / self.name

    def save(self) -> None:
        """Write a narrowed tier into its folder, where `load` (also of a notebook's process) finds
        it.
        """
        if self.digest:
            write_atomically(self.folder / SCOPE, yaml_reader.dump(self.values()))

    def apply(self, config: ExperimentConfig) -> ExperimentConfig:
        """Return an experiment on this tier's models and tasks; decoders and options stay the
        experiment's.
        """
        tasks = (self.tasks_of or {}).get(config.name, self.tasks or config.tasks)
        return replace(config, models=self.models or config.models, tasks=tasks)
