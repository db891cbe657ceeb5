"""Recorded scores: reliability, Precision@K of an ageing ranking, confidence over the decode."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd

from psd_lab.report.confidence import calibration_error
from psd_lab.report.figures.calibration import reliability_axes
from psd_lab.report.figures.style import RC, WIDTH, Plot, model_looks, panels

SHADES = ("#08306b", "#2171b5", "#6baed6", "#b0c4d8", "#c7d3e0")
MARKERS = ("o", "s", "D", "^", "v")


def reliability(bins: pd.DataFrame, id: str, title: str) -> Plot:
    """Confidence against the share of argmax tokens that are committed in the end, one line per
    model, and the cases per bin.
    """
    models = bins.model.unique()
    with mpl.rc_context(RC):
        figure, (left, right) = panels(2, height=3.1, width=6.0)
        for (name, (colour, marker)), width in zip(
            model_looks(models).items(), np.linspace(0.9, 0.5, len(models)), strict=True
        ):
            part = bins[bins.model == name]
            reliability_axes(
                left,
                part.confidence,
                part.agreement,
                part.agreement_low,
                part.agreement_high,
                color=colour,
                marker=marker,
                label=name,
            )
            right.bar(
                (part.low + part.high) / 2,
                part.n,
                width=(part.high - part.low) * width,
                color=colour,
                alpha=0.75,
            )
        left.set(xlabel="confidence now", ylabel="share kept in the end")
        right.set(xlabel="confidence now", ylabel="cases", xlim=(0, 1.02), yscale="log")
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside lower center", ncols=len(models)
        )
    error = ", ".join(
        f"{name} {calibration_error(part):.3f}" for name, part in bins.groupby("model", sort=False)
    )
    caption = (
        f"{title} Left: of the argmax tokens proposed with a given confidence, the share that is"
        " committed at that position in the end (95 % bootstrap over sequences). Right: number of"
        f" cases (logarithmic), {int(bins.n.sum())} in all. Expected calibration error: {error}."
    )
    return Plot(id, caption, bins, figure)


def precision(data: pd.DataFrame, id: str, title: str) -> Plot:
    """Precision@K of the stale ranking over K, a panel per model, a line per age; dotted: a random
    ranking of the same positions.
    """
    parts = data.groupby("model", sort=False)
    with mpl.rc_context(RC):
        figure, axes = panels(
            len(parts), height=2.9, width=max(4.6, WIDTH * len(parts) / 3), sharey=True
        )
        for ax, (name, part) in zip(axes, parts, strict=True):
            for (lag, line), colour, marker in zip(
                part.groupby("lag"), SHADES, MARKERS, strict=False
            ):
                ax.fill_between(
                    line.k,
                    np.nan_to_num(line.low, nan=0),
                    np.nan_to_num(line.high, nan=1),
                    color=colour,
                    alpha=0.12,
                )
                age = "fresh ranking" if lag == 0 else f"{lag} step{'s' if lag > 1 else ''} old"
                ax.plot(line.k, line.precision, color=colour, marker=marker, label=age)
            chance = part[part.lag == part.lag.min()]
            ax.plot(chance.k, chance.chance, color="#777777", linestyle=":", label="random ranking")
            ax.set(title=name, xlabel="K", ylim=(0, 1.03), xticks=sorted(part.k.unique()))
        axes[0].set_ylabel("Precision@K")
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    caption = (
        f"{title} Of the K positions that the ranking puts first, the share that greedy decoding"
        " commits in its next K steps; rankings 0 steps old (fresh) and older, asked about the"
        f" positions still masked. Bands: 95 % bootstrap over sequences; {int(data.states.min())}"
        f" to {int(data.states.max())} states per point."
    )
    return Plot(id, caption, data, figure)


def heatmap(frame: pd.DataFrame, sequence: int, id: str, title: str) -> Plot:
    """Confidence over iteration x position of one decode, a panel per model; dots mark commits
    (hollow: from a draft).
    """
    parts = frame[frame.sequence == sequence].groupby("model", sort=False)
    longest = max(part.iteration.nunique() for _, part in parts)
    with mpl.rc_context(RC | {"axes.grid": False}):
        figure, axes = panels(len(parts), height=min(0.9 + 0.055 * longest, 6.5))
        for ax, (name, part) in zip(axes, parts, strict=True):
            _confidences(ax, part, colour_bar=ax is axes[-1])
            ax.set(
                title=name,
                xlabel="position in the answer",
                ylabel="iteration" if ax is axes[0] else "",
            )
    caption = (
        f"{title} Confidence of every still masked position of the current block before each"
        " iteration. Dots: committed in that iteration (hollow: by an accepted draft). Dashed:"
        " block edges."
    )
    return Plot(
        id, caption, frame[frame.sequence == sequence].drop(columns=["sequence", "agrees"]), figure
    )


def _confidences(ax, part: pd.DataFrame, colour_bar: bool) -> None:
    import seaborn

    grid = part.pivot(index="iteration", columns="position", values="confidence")
    grid = grid.reindex(columns=range(int(part.position.max()) + 1))
    seaborn.heatmap(
        grid,
        ax=ax,
        cmap="cividis",
        vmin=0,
        vmax=1,
        cbar=colour_bar,
        xticklabels=max(grid.shape[1] // 6, 1),
        yticklabels=max(len(grid) // 12, 1),
        rasterized=True,
        cbar_kws={"label": "confidence", "pad": 0.01},
    )
    marks = part[part.committed_at == part.iteration]
    row = marks.iteration.map({iteration: i for i, iteration in enumerate(grid.index)})
    drafted = marks.depth > 0
    ax.scatter(
        marks.position[~drafted] + 0.5, row[~drafted] + 0.5, s=5, color="#ff3b30", linewidth=0
    )
    ax.scatter(
        marks.position[drafted] + 0.5,
        row[drafted] + 0.5,
        s=7,
        facecolor="none",
        edgecolor="#ff3b30",
        linewidth=0.8,
    )
    for edge in part.groupby("block").position.min().iloc[1:]:
        ax.axvline(edge, color="#333333", linewidth=0.7, linestyle="--")
