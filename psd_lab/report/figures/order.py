"""Commit orders: aligned strips that show when each position was decided."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Many

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from psd_lab.report.figures.style import RC, Plot, panels


def strips(decodes: Mapping[str, Many], id: str, title: str, width: int = 64) -> Plot:
    """One strip per decode of the same prompt: cells are positions, shade and number the iteration
    that committed them.

    Only the first `width` generated positions are drawn; cells with an orange foot came from
    accepted drafts.

    Args:
        decodes: the sequences of every model, by its name.
    """
    named = [(model, sequence) for model, sequences in decodes.items() for sequence in sequences]
    parts = [_cells(sequence, width).assign(model=model) for model, sequence in named]
    data = pd.concat(parts, ignore_index=True)
    shown = int(data.position.max()) + 1
    last = max(int(data.iteration.max()), 1)
    with mpl.rc_context(RC | {"axes.grid": False}):
        figure, axes = panels(1, rows=len(named), height=0.3 + 0.62 * len(named))
        for ax, part, (model, sequence) in zip(axes, parts, named, strict=True):
            _strip(ax, part, last)
            ax.set(xlim=(0, shown), ylim=(0, 1), yticks=[], xticks=[])
            ax.set_title(
                f"{model}, {sequence.label}: {sequence.n_tokens} tokens, {sequence.nfe} calls",
                loc="left",
                pad=2,
            )
            if sequence is decodes[model][-1]:
                _name_tokens(ax, part, shown)
    caption = (
        f"{title} The iteration that decided each position (number and shade, dark is early), first"
        f" {shown} positions of one answer; orange foot: decided by an accepted draft. Below each"
        " model's strips: the tokens of the last one."
    )
    return Plot(id, caption, data, figure)


def _strip(ax: Axes, part: pd.DataFrame, last: int) -> None:
    """The cells of one decode, dark for early, with their iterations."""
    colours = mpl.colormaps["cividis"]
    for cell in part.itertuples():
        shade = cell.iteration / last
        ax.bar(
            cell.position,
            1,
            width=1,
            align="edge",
            color=colours(shade),
            linewidth=0.5,
            edgecolor="white",
        )
        if cell.depth > 0:
            ax.bar(cell.position + 0.12, 0.16, width=0.76, align="edge", color="#ff7f50")
        ax.text(
            cell.position + 0.5,
            0.58,
            str(cell.iteration),
            ha="center",
            va="center",
            fontsize=4.2 if cell.iteration > 99 else 5,
            rotation=90,
            color="white" if shade < 0.55 else "black",
        )


def _name_tokens(ax: Axes, part: pd.DataFrame, shown: int) -> None:
    """The tokens below a strip."""
    texts = part.set_index("position").text.reindex(range(shown), fill_value="")
    ax.set_xticks(
        np.arange(shown) + 0.5,
        [_visible(text) for text in texts],
        rotation=90,
        fontsize=4,
        family="DejaVu Sans Mono",
    )
    ax.tick_params(length=0, pad=1)


def _cells(sequence, width: int) -> pd.DataFrame:
    trace = sequence.trace
    found = pd.DataFrame(
        {
            "decoder": sequence.label,
            "position": np.arange(len(trace.step)),
            "iteration": trace.iteration,
            "step": trace.step,
            "depth": trace.depth,
            "text": trace.text_tokens,
        }
    )
    return found[(found.step >= 0) & (found.position < width)]


def _visible(token: str) -> str:
    return token.replace("\n", "↵").replace(" ", "·").replace("$", r"\$")[:8]
