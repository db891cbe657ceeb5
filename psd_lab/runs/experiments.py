"""Experiments by name: what notebooks call to get their rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from psd_lab.progress import progress
from psd_lab.runs.config import ExperimentConfig
from psd_lab.runs.runner import Batch, Pace, Unit, refresh
from psd_lab.runs.sources import EXACT, Source, loaded, source
from psd_lab.runs.store import Attempt, Contents, folder_of, read
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
    items that could not be decoded: they have no row and are tried again by the next call. Raises
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


def table(contents: Contents) -> pd.DataFrame:
    """Rows as a frame with what belongs to them in `.attrs`."""
    frame = pd.DataFrame(list(contents.rows.values()))
    frame.attrs["provenance"] = contents.provenance
    frame.attrs["conflicts"] = len(contents.conflicts)
    frame.attrs["crashes"] = list(contents.crashes.values())
    return frame


def collect(
    config: ExperimentConfig, tier: Tier, results: Path | None = None, loader: Loader | None = None
) -> Contents:
    """Decode what is missing and return an experiment's rows as stored, in the order of its file,
    with their runs.
    """
    chosen, config = Contents(), tier.apply(config)
    for name in config.models:
        model = loaded(loader(name)) if loader else source(name, tier.dtype)
        for task_name in config.tasks:
            units = plan(config, model, task_name, tier)
            folder = folder_of(results, model.name, model.fingerprint, task_name)
            decode_missing(units, folder, f"{config.name} {model.name} {task_name}")
            chosen.take(
                read(folder),
                [(unit.hash, example.id) for unit in units for example in unit.examples],
            )
    report_crashes(chosen)
    return chosen


def plan(config: ExperimentConfig, model: Source, task_name: str, tier: Tier) -> list[Unit]:
    """List one task's units; a decoder that sets no gen_length and block_length gets the task's."""
    from psd_lib.decoding import DecodeConfig

    task = find_task(task_name, tier)
    examples = task.load(config.split, tier.limit_of(config.name))
    common = defaults(task)
    decoders = [
        DecodeConfig.make(**_concrete({**common, **options}, model))
        for options in config.expand(model.family)
    ]
    return [Unit(model, task, config.split, decoder, examples) for decoder in decoders]


def find_task(name: str, tier: Tier) -> Task:
    """A task under the tier's protocol, from the tier's folder."""
    from psd_lab import tasks

    given = {"profile": tier.profile, "data_dir": tier.data_dir}
    return tasks.get(name, **{key: value for key, value in given.items() if value is not None})


def defaults(task: Task) -> dict[str, Any]:
    """Return what a task, under its protocol, asks of every decoder that does not say otherwise."""
    found: dict[str, Any] = {"gen_length": task.gen_length}
    return found if task.block_length is None else {**found, "block_length": task.block_length}


def _concrete(options: Mapping[str, Any], model: Source) -> dict[str, Any]:
    named = {
        key: value.replace("{model}", model.name) if isinstance(value, str) else value
        for key, value in options.items()
    }
    return {**named, **({"cache": model.cache} if options.get("cache") == EXACT else {})}


def decode_missing(units: list[Unit], folder: Path, label: str) -> None:
    """Decode what the folder has no row for yet and append it there, batch by batch; judge again
    what is out of date.
    """
    from psd_lab import provenance

    contents = read(folder)
    batches: list[Batch] = [batch for unit in units for batch in unit.batches(contents)]
    outdated = [(unit, rows) for unit in units if (rows := unit.outdated(contents))]
    if not batches and not outdated:
        return
    pace = Pace()
    with Attempt(folder, provenance.collect()) as attempt:
        for unit, rows in outdated:
            attempt.append(refresh(rows, unit.task, unit.examples))
        for batch in progress(batches, label=label):
            batch.run(attempt, pace)


def report_crashes(contents: Contents) -> None:
    """Say on stderr what could not be decoded, so that nobody takes the remaining rows for all."""
    if contents.crashes:
        first = next(iter(contents.crashes.values()))
        print(
            f"warning: {len(contents.crashes)} items could not be decoded and are missing from"
            f" every table (first: {first['example_id']} with {first['label']}: {first['crash']});"
            " the next run tries them again",
            file=sys.stderr,
        )
