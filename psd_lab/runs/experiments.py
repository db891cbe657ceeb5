"""Experiments by name: what notebooks call to get their rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from psd_lab.caches import EXACT
from psd_lab.progress import progress
from psd_lab.runs.checkpoints import CheckpointRef, checkpoint, in_memory
from psd_lab.runs.config import ExperimentConfig
from psd_lab.runs.runner import WorkItem
from psd_lab.runs.shards import KILLED, SIZE, Worker
from psd_lab.runs.store import RowSet
from psd_lab.runs.tiers import Tier

if TYPE_CHECKING:
    from psd_lab.tasks import Task
    from psd_lib.models import Model

Loader = Callable[[str], "Model"]


def experiment(
    name: str, tier: str = "smoke", limit: int | None = None, results: Path | None = None
) -> pd.DataFrame:
    """Return the rows of `data/configs/<name>.yaml` at a tier, decoding only what no earlier run
    has decoded.

    One line per (decoder, task, example) in the order of the experiment's file; the columns are the
    fields of a row. `limit` replaces the tier's number of examples per task. Rows are stored under
    `results` (data/results unless given) as each batch finishes, so a run that is stopped goes on
    where it was. `.attrs["provenance"]` holds the described runs by id, `.attrs["conflicts"]` the
    number of rows that two runs decoded differently, and `.attrs["crashes"]` the records of the
    items that could not be decoded: they have no row and are tried again by the next call.
    `.attrs["registered"]` describes the decoders that the user registered, for reports. Raises
    UserError on unknown names, impossible options, a missing model or task file, and damaged row
    files.
    """
    return table(collect(ExperimentConfig.load(name), Tier.load(tier).narrow(limit=limit), results))


def run(
    config: ExperimentConfig,
    limit: int | None,
    results: Path | None = None,
    loader: Loader | None = None,
) -> pd.DataFrame:
    """Run an experiment that need not have a file; `loader` finds its models by name
    (`psd_lib.load` unless given).
    """
    return table(collect(config, Tier("run", limit), results, loader))


def table(found: RowSet) -> pd.DataFrame:
    """Return rows as a frame with what belongs to them in `.attrs`."""
    from psd_lab import decoders

    frame = pd.DataFrame(list(found.rows.values()))
    frame.attrs["provenance"] = found.provenance
    frame.attrs["conflicts"] = len(found.conflicts)
    frame.attrs["crashes"] = list(found.crashes.values())
    frame.attrs["registered"] = decoders.registered()
    return frame


def collect(
    config: ExperimentConfig, tier: Tier, results: Path | None = None, loader: Loader | None = None
) -> RowSet:
    """Decode what is missing and return an experiment's rows as stored, in the order of its file,
    with their runs.
    """
    chosen, config = RowSet(), tier.apply(config)
    with Worker(results) as worker:
        for name in config.models:
            model = in_memory(loader(name)) if loader else checkpoint(name, tier.dtype)
            for task in config.tasks:
                items = plan(config, model, task, tier)
                complete(items, worker, f"{config.name} {model.name} {task}")
                found = worker.reader(items[0]).refresh() if items else RowSet()
                chosen.take(found, [key for item in items for key in item.keys])
    report_crashes(chosen)
    return chosen


def complete(items: Sequence[WorkItem], worker: Worker, label: str) -> None:
    """Decode and score what is missing, first what no other run is at."""
    shards = [part for item in items for part in item.slices(SIZE)]
    left = [part for part in shards if worker.left(part)]
    busy = [part for part in progress(left, label=label) if not worker.run(part, wait=False)]
    for part in busy:
        worker.run(part)


def plan(
    config: ExperimentConfig, model: CheckpointRef, task_name: str, tier: Tier
) -> list[WorkItem]:
    """List one task's work; a decoder that sets no gen_length and block_length gets the task's."""
    from psd_lib import DecodeConfig

    task = find_task(task_name, tier)
    examples = task.load(config.split, tier.limit_of(config.name))
    common = defaults(task)
    decoders = [_concrete({**common, **options}, model) for options in config.expand(model.family)]
    return [
        WorkItem(model, task, config.split, DecodeConfig.make(**options), examples)
        for options in decoders
    ]


def find_task(name: str, tier: Tier) -> Task:
    """Find a task under the tier's protocol, from the tier's folder."""
    from psd_lab import tasks

    given = {"profile": tier.profile, "data_dir": tier.data_dir}
    return tasks.get(name, **{key: value for key, value in given.items() if value is not None})


def defaults(task: Task) -> dict[str, Any]:
    """Return what a task, under its protocol, asks of every decoder that does not say otherwise."""
    found: dict[str, Any] = {"gen_length": task.gen_length}
    return found if task.block_length is None else {**found, "block_length": task.block_length}


def _concrete(options: Mapping[str, Any], model: CheckpointRef) -> dict[str, Any]:
    named = {
        key: value.replace("{model}", model.name) if isinstance(value, str) else value
        for key, value in options.items()
    }
    return {**named, **({"cache": model.cache} if options.get("cache") == EXACT else {})}


def report_crashes(found: RowSet) -> None:
    """Warn on stderr of what could not be decoded, so that nobody takes the other rows for all."""
    if found.crashes:
        first = next(iter(found.crashes.values()))
        killed = any(crash["crash"] == KILLED for crash in found.crashes.values())
        print(
            f"warning: {len(found.crashes)} items could not be decoded and are missing from"
            f" every table (first: {first['example_id']} with {first['label']}: {first['crash']});"
            " the next run tries them again"
            f"{', except those that killed their process' if killed else ''}",
            file=sys.stderr,
        )
