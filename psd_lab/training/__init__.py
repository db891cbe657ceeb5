"""Training of the embedded models. `train` is imported on first use, because torch is heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def train(model: str = "mini-sdar", out: str | Path | None = None, **options: Any) -> Path:
    """Train an embedded model; `psd_lab.training.session.train` has the options and errors."""
    from psd_lab.training.session import train as run

    return run(model, out, **options)
