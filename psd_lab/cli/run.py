"""`psd plan`, `run`, `run-shard`, `status`, `merge`: a run on many processes, GPUs and machines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from psd_lab.cli.options import names
from psd_lab.cli.reproduce import DataDir, Dtype, Limit, Models, Profile, Tasks, Tier
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lab.runs.engines import Engine
    from psd_lab.runs.plans import RunPlan

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the plan.")]
Results = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where rows are stored.", show_default="data/results"),
]
Score = Annotated[
    bool, typer.Option(help="Also score what is decoded, or leave it to a later run.")
]
Retry = Annotated[
    bool, typer.Option("--retry", help="Also try the items that killed their process.")
]


def plan(
    run: Run,
    tier: Tier = "mini",
    limit: Limit = None,
    models: Models = None,
    tasks: Tasks = None,
    profile: Profile = None,
    data_dir: DataDir = None,
    dtype: Dtype = None,
) -> None:
    """Write what a tier decodes as shards, each of which any process can run.

    Rows go where `psd reproduce` finds them. A shard is named by what decides its rows, so plans
    and machines share their work.
    """
    from psd_lab.runs.config import ExperimentConfig
    from psd_lab.runs.plans import RunPlan
    from psd_lab.runs.reproduce import chosen
    from psd_lab.runs.tiers import Tier as Known

    narrowed = Known.load(tier).narrow(
        limit=limit,
        models=names("--models", models),
        tasks=names("--tasks", tasks),
        profile=profile,
        data_dir=data_dir and str(Path(data_dir).expanduser().resolve()),
        dtype=dtype,
    )
    configs = [narrowed.apply(ExperimentConfig.load(name)) for name in chosen(narrowed)]
    made = RunPlan.of(narrowed, configs)
    path = made.save(run)
    rows = sum(len(shard.examples) for shard in made.shards)
    print(f"{len(made.shards)} shards of {rows} rows in {path}")


def run(
    run: Run,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes, on the CPU.")] = 1,
    gpus: Annotated[
        int, typer.Option(metavar="N", min=0, help="One process for each of N GPUs instead.")
    ] = 0,
    score: Score = True,
    retry: Retry = False,
    results: Results = None,
) -> None:
    """Run the shards of a plan on this machine.

    A run that is stopped goes on where it was, and two runs of one plan share the work.
    """
    from psd_lab.runs.engines import engine
    from psd_lab.runs.plans import RunPlan

    _run(RunPlan.load(run), engine(workers, gpus), results, score, retry)


def run_shard(
    run: Run,
    part: Annotated[
        str, typer.Argument(metavar="I/N", help="Which part of how many, as in a job array.")
    ],
    score: Score = True,
    retry: Retry = False,
    results: Results = None,
) -> None:
    """Run one part of a plan in this process: part I of N, for job arrays."""
    from psd_lab.runs.engines import InProcess
    from psd_lab.runs.plans import RunPlan

    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", part)
    if not found:
        raise UserError(f"{part!r} is not a part: write I/N, such as 3/8.")
    chosen = RunPlan.load(run).part(int(found[1]), int(found[2]))
    _run(chosen, InProcess(), results, score, retry)


def _run(plan: RunPlan, engine: Engine, results: Path | None, score: bool, retry: bool) -> None:
    from psd_lab.interrupts import sigterm_as_interrupt
    from psd_lab.progress import progress
    from psd_lab.runs.engines import Settings
    from psd_lab.runs.status import status

    with sigterm_as_interrupt():
        shards = engine.run(plan, Settings(results, score, retry))
        for _ in progress(shards, len(plan.shards), label="shards"):
            pass
    print(status(plan, results).summary())


def status(run: Run, results: Results = None) -> None:
    """Show how far a run is: what is missing in which cell, and the time left."""
    from psd_lab.page import Table, show
    from psd_lab.runs.plans import RunPlan
    from psd_lab.runs.status import status as found

    state = found(RunPlan.load(run), results)
    rows = [
        (cell.model, cell.task, cell.label, str(cell.rows), str(cell.planned))
        for cell in state.cells
        if cell.missing
    ]
    header = ("model", "task", "decoder", "rows", "planned")
    show([*([Table(header, rows)] if rows else []), state.summary()])


def merge(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Results folder of elsewhere.")],
    results: Results = None,
) -> None:
    """Bring the rows of another machine's results folder into this one; nothing is replaced."""
    from psd_lab.runs.status import merge as bring

    print(bring(source, results))
