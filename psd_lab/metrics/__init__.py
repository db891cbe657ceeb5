"""The scorers as metrics of the package `evaluate`: local folders that load without a network.

evaluate.load(psd_lab.metrics.path("gsm8k_answer")).compute(predictions=["... #### 5"],
references=["5"])
"""

from __future__ import annotations

from pathlib import Path

from psd_lib.errors import UserError

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """List the metrics."""
    return sorted(
        path.parent.name for path in _FOLDER.glob("*/*.py") if path.stem == path.parent.name
    )


def path(name: str) -> str:
    """Return the folder that `evaluate.load` takes for a metric.

    Raises:
        UserError: The metric is unknown.
    """
    if name not in names():
        raise UserError(f"Unknown metric {name!r}: use one of {', '.join(names())}.")
    return str(_FOLDER / name)
