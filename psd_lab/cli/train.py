"""`psd train`: train an embedded model."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from psd_lab.cli.options import embedded_models


def train(
    model: Annotated[
        str,
        typer.Option(metavar="NAME", help="Which one.", autocompletion=embedded_models),
    ] = "mini-sdar",
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the checkpoint.",
            show_default="data/models/NAME",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="Limit on the time of training.",
            show_default="none but the recipe's steps",
        ),
    ] = None,
    device: Annotated[
        Literal["cpu", "cuda"] | None,
        typer.Option(help="Where to train.", show_default="a GPU where there is one"),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start again instead of resuming.")
    ] = False,
) -> None:
    """Train an embedded model.

    A run that was stopped goes on where it was.
    """
    from psd_lab.training import train as run

    folder = run(model, out, resume=not fresh, minutes=minutes, device=device)
    print(f"checkpoint in {folder}")
