"""`psd reproduce`: execute the notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from psd_lab.cli.options import embedded_models, known, names, pairs, task_names
from psd_lib.errors import UserError


def tier_names() -> list[str]:
    """List the tiers of data/configs/tiers.yaml."""
    from psd_lab import paths, yaml_reader

    return list(yaml_reader.read_file(paths.find(paths.CONFIGS, "tiers.yaml")))


def notebook_names() -> list[str]:
    """List the notebooks."""
    from psd_lab import paths

    return [path.stem for path in paths.files(paths.NOTEBOOKS, "*.ipynb")]


PANEL = "Instead of what the tier says"
Tier = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="How much to run, see data/configs/tiers.yaml; NAME:8 is 8 examples of each task.",
        autocompletion=tier_names,
    ),
]
Notebooks = Annotated[
    str,
    typer.Option(
        metavar="PATTERN",
        help="Only those that match, e.g. '20*'.",
        show_default="all",
        autocompletion=notebook_names,
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter", "-p", metavar="NAME=VALUE", help="Set a parameter of the notebooks."
    ),
]
InPlace = Annotated[
    bool,
    typer.Option("--in-place", help="Refresh the outputs kept in notebooks/ (their own tier)."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="End after the checks and the cost estimate.")
]
Limit = Annotated[
    int | None,
    typer.Option(metavar="N", help="The first N examples of each task.", rich_help_panel=PANEL),
]
Models = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="Embedded names, folders or Hub repositories.",
        autocompletion=embedded_models,
        rich_help_panel=PANEL,
    ),
]
Tasks = Annotated[
    str | None,
    typer.Option(
        metavar="A,B", help="See psd tasks.", autocompletion=task_names, rich_help_panel=PANEL
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The benchmarks' protocol, see data/profiles.",
        rich_help_panel=PANEL,
    ),
]
DataDir = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder with the benchmarks' files.",
        show_default="the Hub",
        rich_help_panel=PANEL,
    ),
]
Dtype = Annotated[
    Literal["float32", "float64", "bfloat16", "float16"] | None,
    typer.Option(metavar="NAME", help="Type of the loaded weights.", rich_help_panel=PANEL),
]


def reproduce(
    tier: Tier = "mini",
    notebooks: Notebooks = "*",
    parameter: Parameters = None,
    in_place: InPlace = False,
    dry_run: DryRun = False,
    limit: Limit = None,
    models: Models = None,
    tasks: Tasks = None,
    profile: Profile = None,
    data_dir: DataDir = None,
    dtype: Dtype = None,
) -> None:
    """Execute the notebooks: every table and figure.

    Decodes what is missing, executes the notebooks, publishes rows, tables and claims of a tier. A
    run that is stopped goes on where it was. Tier paper needs a GPU: it checks what is there,
    prints a cost estimate from measured calls, then decodes.

    With an option that stands instead of what the tier says, the tier's published tables are left
    alone: results go to a folder of their own under data/results, which is printed.
    """
    parameters = pairs("-p", parameter)
    if in_place and parameters:
        raise UserError(
            "--in-place takes no -p: notebooks are refreshed exactly as they are; leave one out."
        )
    if "TIER" in parameters:
        raise UserError(f"-p TIER={parameters['TIER']} would replace --tier {tier}: use --tier.")
    chosen = names("--tasks", tasks)
    for name in chosen or ():
        known("task", name, task_names())

    from psd_lab.runs import Tier as Known
    from psd_lab.runs.reproduce import reproduce as run

    full = Known.load(tier)
    narrowed = full.narrow(
        limit=limit,
        models=names("--models", models),
        tasks=chosen,
        profile=profile,
        data_dir=data_dir and str(Path(data_dir).expanduser().resolve()),
        dtype=dtype,
    )
    for sentence in run(narrowed, notebooks, in_place, parameters, dry_run):
        print(sentence)
    if narrowed is not full:
        print(
            f"results of this narrowed run are in {narrowed.folder}; those of tier {full.name}"
            " stayed as they were"
        )
