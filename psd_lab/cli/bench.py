"""`psd bench`: time decoders."""

from __future__ import annotations

from typing import Annotated

import typer

from psd_lab.cli.options import Model, checkpoint, known, task_names


def bench(
    model: Model = "mini-sdar",
    task: Annotated[
        str, typer.Option(metavar="NAME", help="Whose prompts.", autocompletion=task_names)
    ] = "mini-gsm",
    items: Annotated[int, typer.Option(metavar="N", help="How many prompts.")] = 16,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Prompts decoded together.")] = 16,
    repeats: Annotated[
        int, typer.Option(metavar="N", help="Counted rounds after one warm-up.")
    ] = 3,
    cache: Annotated[str, typer.Option(metavar="NAME", help="Cache plan.")] = "none",
) -> None:
    """Time decoders and the loop's own cost.

    Prints a table and, as the last line, one JSON document.
    """
    from psd_lab.bench import main

    known("task", task, task_names())
    with checkpoint(model):
        main(model, task, items, batch_size, repeats, cache)
