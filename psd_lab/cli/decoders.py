"""`psd decoders`: list decoders, or explain one."""

from __future__ import annotations

from typing import Annotated

import typer

from psd_lab.cli.options import decoder_names, known


def decoders(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The decoder to explain.",
            show_default=False,
            autocompletion=decoder_names,
        ),
    ] = None,
) -> None:
    """List the decoders, or explain one with its options."""
    from psd_lab import listings

    if name is None:
        listings.show(listings.decoders())
    else:
        known("decoder", name, decoder_names())
        listings.show(listings.decoder(name))
