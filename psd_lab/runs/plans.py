"""A run as pure data: the shards that experiments need at a tier, named by their content."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from psd_lab.files import write_atomically
from psd_lab.runs.checkpoints import checkpoint
from psd_lab.runs.config import ExperimentConfig, digest
from psd_lab.runs.experiments import plan
from psd_lab.runs.rows import Key
from psd_lab.runs.runner import WorkItem
from psd_lab.runs.shards import SIZE
from psd_lab.runs.store import folder_of
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lab.runs.tiers import Tier

FILE = "plan.json"
FORMAT = 1


@dataclass(frozen=True)
class Shard:
    """One model with one decoder on a slice of one task's items, by names that find them again.

    `model` is what the checkpoint was asked for by, `name` and `fingerprint` are what it is;
    `decode` is the decoder as rows store it. `id` is the name of the shard's rows: it depends on
    nothing but what decides them.
    """

    id: str
    model: str
    name: str
    fingerprint: str
    dtype: str
    task: str
    profile: str | None
    data_dir: str | None
    split: str
    decode: dict[str, Any]
    label: str
    config_hash: str
    examples: Annotated[list[str], Field(min_length=1)]

    @property
    def keys(self) -> list[Key]:
        """The keys of the shard's rows."""
        return [(self.config_hash, one) for one in self.examples]

    def folder(self, results: Path | None) -> Path:
        """Return where the shard's rows lie."""
        return folder_of(results, self.name, self.fingerprint, self.task)

    def work(self) -> WorkItem:
        """Return the work of the shard.

        Raises:
            UserError: The checkpoint, the data or the decoder is not the one that was planned.
        """
        whole = _whole(
            self.model,
            self.dtype,
            self.task,
            self.profile,
            self.data_dir,
            self.split,
            json.dumps(self.decode),
            self.config_hash,
        )
        items = {example.id: example for example in whole.examples}
        item = whole.with_examples([items[name] for name in self.examples if name in items])
        if item.hash != self.config_hash or item.shard != self.id:
            raise UserError(
                f"{self.model}, {self.task} or the decoder {self.label} changed since the plan was"
                " made: make a new plan; rows so far are kept."
            )
        return item


@lru_cache(maxsize=4)  # shards of one work item follow one another
def _whole(
    model: str,
    dtype: str,
    task: str,
    profile: str | None,
    data_dir: str | None,
    split: str,
    decode: str,
    config_hash: str,
) -> WorkItem:
    from psd_lab import tasks
    from psd_lib import DecodeConfig

    given = {"profile": profile, "data_dir": data_dir}
    found = tasks.get(task, **{key: value for key, value in given.items() if value is not None})
    config = DecodeConfig.from_dict(json.loads(decode))
    return WorkItem(checkpoint(model, dtype), found, split, config, found.load(split))


@dataclass(frozen=True)
class RunPlan:
    """The shards of a run, models one after the other, so that a process loads each one once."""

    shards: tuple[Shard, ...]

    @classmethod
    def of(cls, tier: Tier, configs: Sequence[ExperimentConfig], size: int = SIZE) -> RunPlan:
        """Plan experiments at a tier. What several of them want is planned once.

        Raises:
            UserError: A name is unknown, or an option impossible.
        """
        items: dict[str, WorkItem] = {}
        for name in dict.fromkeys(name for config in configs for name in config.models):
            model = checkpoint(name, tier.dtype)
            wanted = [(one, task) for one in configs if name in one.models for task in one.tasks]
            for config, task in wanted:
                for item in plan(config, model, task, tier):
                    items[item.hash] = _joined(items.get(item.hash), item)
        shards = [_shard(part, tier) for item in items.values() for part in item.slices(size)]
        return cls(tuple(shards))

    @classmethod
    def load(cls, folder: Path) -> RunPlan:
        """Read a plan that `save` wrote.

        Raises:
            UserError: There is none, or it is damaged or of another version.
        """
        path = folder / FILE
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data.get("format") != FORMAT:
                raise UserError(
                    f"{path} has the format {data.get('format')!r}, this version reads {FORMAT}:"
                    " make the plan again."
                )
            shards = TypeAdapter(tuple[Shard, ...]).validate_python(data["shards"])
        except FileNotFoundError:
            raise UserError(f"There is no plan {path}: make one first.") from None
        except (ValidationError, ValueError, AttributeError, KeyError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path} is damaged: make the plan again; rows are kept.") from None
        if wrong := [one for one in shards if one.id != digest(one.keys)]:
            raise UserError(f"{path} was changed (shard {wrong[0].id}): make the plan again.")
        return cls(shards)

    def save(self, folder: Path) -> Path:
        """Write the plan into a run's folder, once.

        Raises:
            UserError: The folder has another plan already.
        """
        path = folder / FILE
        if path.exists():
            if RunPlan.load(folder) != self:
                raise UserError(
                    f"{path} is another plan: give another folder; rows are shared all the same."
                )
            return path
        data = {"format": FORMAT, "shards": [asdict(one) for one in self.shards]}
        write_atomically(path, json.dumps(data, separators=(",", ":")) + "\n")
        return path

    def part(self, number: int, of: int) -> RunPlan:
        """Return every `of`-th shard, from shard `number` on, counted from 1: a job of an array.

        Raises:
            UserError: There is no such part.
        """
        if not 1 <= number <= of:
            raise UserError(f"A run of {of} parts has parts 1 to {of}, not {number}.")
        return replace(self, shards=self.shards[number - 1 :: of])


def _joined(known: WorkItem | None, item: WorkItem) -> WorkItem:
    """Return the work of two items that differ in their examples only."""
    if known is None:
        return item
    examples = {one.id: one for one in (*known.examples, *item.examples)}
    return known.with_examples(list(examples.values()))


def _shard(item: WorkItem, tier: Tier) -> Shard:
    return Shard(
        id=item.shard,
        model=item.model.source,
        name=item.model.name,
        fingerprint=item.model.fingerprint,
        dtype=item.model.dtype,
        task=item.task.name,
        profile=tier.profile,
        data_dir=tier.data_dir,
        split=item.split,
        decode=item.config.to_dict(),
        label=item.config.label,
        config_hash=item.hash,
        examples=[example.id for example in item.examples],
    )
