"""Experiments by name: what notebooks call to get their rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from psd_lib.progress import progress
from psd_lib.runs.config import ExperimentConfig, Tier
from psd_lib.runs.runner import Unit
from psd_lib.runs.store import Attempt, Contents, folder_of, read

if TYPE_CHECKING:
    from psd_lib.models import Model


def experiment(name: str, tier: str = "smoke", limit: int | None = None, results: Path | None = None) -> pd.DataFrame:
    """Return the rows of `data/configs/<name>.yaml` at a tier, decoding only what no earlier run has decoded.

    One line per (decoder, task, example) in the order of the experiment's file; the columns are the fields of a row.
    `limit` replaces the tier's number of examples per task. Rows are stored under `results` (data/results unless given)
    as each batch finishes, so a run that is stopped goes on where it was. `.attrs["provenance"]` holds the described
    runs by id and `.attrs["conflicts"]` the number of rows that two runs decoded differently.
    Raises UserError on unknown names, impossible options, a missing model or task file, and damaged row files.
    """
    default = Tier.load(tier).limit
    return run(ExperimentConfig.load(name), default if limit is None else limit, results)


def run(config: ExperimentConfig, limit: int, results: Path | None = None,
        loader: Callable[[str], Model] | None = None) -> pd.DataFrame:  # fmt: skip
    """Run an experiment that need not have a file; `loader` finds its models by name (`psd_lib.load` unless given)."""
    contents = collect(config, limit, results, loader)
    table = pd.DataFrame(list(contents.rows.values()))
    table.attrs["provenance"] = contents.provenance
    table.attrs["conflicts"] = len(contents.conflicts)
    return table


def collect(config: ExperimentConfig, limit: int, results: Path | None = None,
            loader: Callable[[str], Model] | None = None) -> Contents:  # fmt: skip
    """Decode what is missing and return an experiment's rows as stored, in the order of its file, with their runs."""
    chosen = Contents()
    for model_name in config.models:
        model = (loader or load_model)(model_name)
        for task_name in config.tasks:
            units = plan(config, model, task_name, limit)
            folder = folder_of(results, model.name, model.fingerprint, task_name)
            decode_missing(units, folder, f"{config.name} {task_name}")
            contents = read(folder)
            wanted = {(unit.hash, example.id): None for unit in units for example in unit.examples}
            chosen.rows |= {key: contents.rows[key] for key in wanted}
            chosen.conflicts |= contents.conflicts & wanted.keys()
            used = {contents.rows[key]["provenance"] for key in wanted}
            chosen.provenance |= {name: contents.provenance[name] for name in sorted(used)}
    return chosen


def plan(config: ExperimentConfig, model: Model, task_name: str, limit: int) -> list[Unit]:
    """List one task's units; a decoder that sets no gen_length gets the task's."""
    from psd_lib import tasks
    from psd_lib.decoding import DecodeConfig

    task = tasks.get(task_name)
    examples = task.load(config.split, limit)
    decoders = [DecodeConfig.make(**{"gen_length": task.gen_length, **options}) for options in config.expand()]
    return [Unit(model, task, config.split, decoder, examples) for decoder in decoders]


def decode_missing(units: list[Unit], folder: Path, label: str) -> None:
    """Decode what the folder has no row for yet and append it there, batch by batch."""
    from psd_lib import provenance

    contents = read(folder)
    batches = [batch for unit in units for batch in unit.batches(contents)]
    if not batches:
        return
    with Attempt(folder, provenance.collect()) as attempt:
        for batch in progress(batches, label=label):
            batch.run(attempt)


@lru_cache(maxsize=4)
def load_model(name: str) -> Model:
    """Load a model once per process."""
    import psd_lib

    return psd_lib.load(name)
