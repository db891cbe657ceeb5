"""The command as a whole: its parts, its exit codes, and errors as one sentence on stderr.

Nothing here imports torch, transformers or pandas: `psd --help` answers at once.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import psd_lib
from psd_lab.cli.bench import bench
from psd_lab.cli.calibrate import calibrate
from psd_lab.cli.decoders import decoders
from psd_lab.cli.generate import generate
from psd_lab.cli.methods import methods
from psd_lab.cli.models import models
from psd_lab.cli.parser import Command, Group, sentence
from psd_lab.cli.reproduce import reproduce
from psd_lab.cli.run import merge, plan, run, run_shard, status
from psd_lab.cli.tasks import tasks
from psd_lab.cli.train import train
from psd_lib.errors import UserError

PANELS = {
    "Decode": [generate, decoders, methods, models],
    "Reproduce": [reproduce, tasks, bench],
    "Run on many processes and machines": [plan, run, run_shard, status, merge],
    "Train and calibrate": [train, calibrate],
}

app = typer.Typer(
    name="psd",
    cls=Group,
    help="Decode diffusion language models in parallel, without training.",
    epilog="psd COMMAND --help explains one command.",
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for panel, commands in PANELS.items():
    for command in commands:
        app.command(cls=Command, rich_help_panel=panel)(command)


def _version(asked: bool) -> None:
    if asked:
        print(f"psd {psd_lib.__version__}")
        raise typer.Exit


@app.callback()
def psd(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Decode diffusion language models in parallel, without training."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Returns:
        0; 1 where nobody reads the output any more (`psd decoders | true`); 2 for bad input, which
        is one sentence on stderr; 130 when interrupted.
    """
    _open_stdout()
    try:
        command = typer.main.get_command(app)
        code = command.main(arguments, prog_name="psd", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _refuse(sentence(error))
    except UserError as error:
        return _refuse(str(error))
    except BrokenPipeError:
        # The interpreter flushes once more at its end, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        from psd_lab.files import REFUSED

        if error.errno not in REFUSED:
            raise  # a fault of ours, which needs its traceback
        what = error.filename or "a file or the output"
        return _refuse(f"cannot read or write {what}: {error.strerror}.")
    except SystemExit as ended:  # typer ends so where it shows completion or stdout is closed
        return int(ended.code or 0)
    if code == 130:
        kept = "finished work is kept, run the same command again to go on"
        print(f"psd: interrupted; {kept}", file=sys.stderr)
    return code or 0


def _open_stdout() -> None:
    """Let no completion get lost at the end because stdout is closed or has a small alphabet."""
    if sys.stdout is None:
        sys.stdout = io.StringIO()
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _refuse(why: str) -> int:
    print(f"psd: {' '.join(why.splitlines())}", file=sys.stderr)
    return 2
