"""The learning curve of an embedded model, from its training log."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from psd_lab.report.figures.style import RC, panels
from psd_lib.errors import UserError


def learning_curve_figure(log: Sequence[dict[str, Any]], title: str) -> Figure:
    """Draws the training loss against row tokens, one line per stage.

    Losses of different stages are on different scales: the objective and the masked share differ.
    Save it with `figures.write(figure, path)`.

    Args:
        log: records with `stage`, `tokens` and `loss` (mean since the record before), in the order
        of training. title: shown above the panel.

    Raises:
        UserError: no record at all.
    """
    if not log:
        raise UserError("a learning curve needs at least one record of a training log.")
    with mpl.rc_context(RC):
        figure, (ax,) = panels(1, height=2.6, width=6.0)
        for stage, records in groupby(log, key=lambda record: record["stage"]):
            points = [(record["tokens"] / 1e6, record["loss"]) for record in records]
            ax.plot(*zip(*points, strict=True), label=stage)
        ax.set(xlabel="row tokens (millions)", ylabel="training loss", title=title, yscale="log")
        ax.legend()
    return figure
