"""`python -m psd_lab.harness ...`: lm-evaluation-harness's command with the model `psd`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from psd_lib.errors import UserError


def traces_beside(arguments: Sequence[str]) -> str | None:
    """Return where traces go unless model_args give another place.

    They lie beside what `--output_path` names; None where nothing is kept.
    """
    for at, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in ("--output_path", "-o"):
            place = Path(value if equals else next(iter(arguments[at + 1 : at + 2]), "."))
            return str((place.parent if place.suffix else place) / "psd_traces.jsonl")
    return None


def main() -> int:
    """Run lm-eval's command line; 2 and one sentence for bad input, as `psd` does."""
    try:
        if find_spec("lm_eval") is None:
            raise UserError(
                "lm-evaluation-harness is not installed: pip install 'psd-lib[lm-eval]'."
            )
        from psd_lab.harness.plugin import TRACES

        if (place := traces_beside(sys.argv[1:])) is not None:
            os.environ.setdefault(TRACES, place)
        from lm_eval.__main__ import cli_evaluate

        cli_evaluate()
    except UserError as error:
        print(f"psd: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
