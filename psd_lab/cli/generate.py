"""`psd generate`: decode prompts from the command line."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from psd_lab.cli.familiar import unfamiliar
from psd_lab.cli.options import Model, checkpoint, decoder_names, embedded_models, known, pairs
from psd_lib.errors import UserError

# What `psd_lib.generate` takes besides the decoder's options and what has no place in -o.
TAKEN = {
    "config": "name a --decoder and its options",
    "decoder": "use --decoder",
    "model": "use --model",
    "progress": "the command shows none",
    "prompts": "write the prompts behind the options",
    "record_scores": "only psd_lib.generate returns scores",
}


def generate(
    prompt: Annotated[list[str], typer.Argument(help="One or more texts.", show_default=False)],
    model: Model = "mini-sdar",
    revision: Annotated[
        str | None, typer.Option(metavar="REVISION", help="Revision of a Hub repository.")
    ] = None,
    decoder: Annotated[
        str,
        typer.Option(metavar="NAME", help="See psd decoders.", autocompletion=decoder_names),
    ] = "psd",
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="NAME=VALUE",
            help="Option of the decoder, see psd decoders NAME; e.g. -o threshold=0.9 -o depth=3.",
        ),
    ] = None,
) -> None:
    """Decode prompts and print the completions.

    Completions go to stdout, what they cost to stderr.
    """
    options = pairs("-o", option)
    for name in options:
        if name in TAKEN:
            raise UserError(f"-o {name} is not an option of a decoder: {TAKEN[name]}.")
    for number, text in enumerate(prompt):
        if any("\ud800" <= sign <= "\udfff" for sign in text):  # bytes that Python could not read
            raise UserError(f"prompt {number} is not text in UTF-8.")

    import psd_lib

    known("decoder", decoder, decoder_names())
    with checkpoint(model):
        loaded = psd_lib.load(model, revision=revision)
    out = psd_lib.generate(loaded, prompt, decoder=decoder, **options)
    if loaded.name in embedded_models():
        for note in unfamiliar(loaded.name, prompt):
            print(note, file=sys.stderr)
    for sequence in out:
        print(sequence.text)
        print(
            f"[{out.config.label}: {sequence.n_tokens} tokens, {sequence.nfe} forwards, TPF"
            f" {sequence.tpf:.2f}]",
            file=sys.stderr,
        )
