"""Decides how recorded scores are drawn: reliability, Precision@K of an ageing ranking, confidence over the decode."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd

from psd_lib.report.confidence import calibration_error
from psd_lib.report.figures.style import RC, Plot, panels

SHADES = ("#08306b", "#2171b5", "#6baed6", "#b0c4d8", "#c7d3e0")
MARKERS = ("o", "s", "D", "^", "v")


def reliability(bins: pd.DataFrame, id: str, title: str) -> Plot:
    """Confidence against the share of argmax tokens that are committed in the end, with the number of cases per bin."""
    with mpl.rc_context(RC):
        figure, (left, right) = panels(2, height=2.8, width=6.0)
        left.plot([0, 1], [0, 1], color="#999999", linestyle="--", linewidth=0.9)
        left.text(0.52, 0.45, "perfectly calibrated", rotation=40, fontsize=6.5, color="#666666", ha="left", va="top")
        error = np.nan_to_num([bins.agreement - bins.agreement_low, bins.agreement_high - bins.agreement])
        left.errorbar(bins.confidence, bins.agreement, yerr=error, color="#0072b2", marker="o", capsize=2)
        left.set(xlabel="confidence now", ylabel="share kept in the end", xlim=(0, 1.02), ylim=(0, 1.02))
        left.set_aspect("equal")
        right.bar((bins.low + bins.high) / 2, bins.n, width=(bins.high - bins.low) * 0.9, color="#0072b2")
        right.set(xlabel="confidence now", ylabel="cases", xlim=(0, 1.02))
    caption = (f"{title} Left: of the argmax tokens proposed with a given confidence, the share that is committed at that position in the end "
               "(95 % bootstrap over sequences). Right: number of cases, "
               f"{int(bins.n.sum())} in all. Expected calibration error {calibration_error(bins):.3f}.")
    return Plot(id, caption, bins, figure)


def precision(data: pd.DataFrame, id: str, title: str) -> Plot:
    """Precision@K of the stale ranking over K, one line per age; dotted: a random ranking of the same positions."""
    with mpl.rc_context(RC):
        figure, (ax,) = panels(1, height=2.8, width=4.6)
        for (lag, line), colour, marker in zip(data.groupby("lag"), SHADES, MARKERS, strict=False):
            ax.fill_between(line.k, np.nan_to_num(line.low, nan=0), np.nan_to_num(line.high, nan=1), color=colour, alpha=0.12)
            age = "fresh ranking" if lag == 0 else f"{lag} step{'s' if lag > 1 else ''} old"
            ax.plot(line.k, line.precision, color=colour, marker=marker, label=age)
        chance = data[data.lag == data.lag.min()]
        ax.plot(chance.k, chance.chance, color="#777777", linestyle=":", label="random ranking")
        ax.set(xlabel="K", ylabel="Precision@K", ylim=(0, 1.03), xticks=sorted(data.k.unique()))
        figure.legend(loc="outside right center")
    caption = (f"{title} Of the K positions that the ranking puts first, the share that greedy decoding commits in its next K steps; "
               "rankings 0 steps old (fresh) and older, asked about the positions still masked. Bands: 95 % bootstrap over "
               f"sequences; {int(data.states.min())} to {int(data.states.max())} states per point.")
    return Plot(id, caption, data, figure)


def heatmap(frame: pd.DataFrame, sequence: int, id: str, title: str) -> Plot:
    """Confidence over iteration x position of one decode; dots mark commits (hollow: from a draft), rules the blocks."""
    import seaborn

    part = frame[frame.sequence == sequence]
    grid = part.pivot(index="iteration", columns="position", values="confidence")
    grid = grid.reindex(columns=range(int(part.position.max()) + 1))
    with mpl.rc_context(RC | {"axes.grid": False}):
        figure, (ax,) = panels(1, height=min(0.9 + 0.055 * len(grid), 6.5))
        seaborn.heatmap(grid, ax=ax, cmap="cividis", vmin=0, vmax=1, cbar_kws={"label": "confidence", "pad": 0.01},
                        xticklabels=8, yticklabels=max(len(grid) // 12, 1), rasterized=True)
        marks = part[part.committed_at == part.iteration]
        row = marks.iteration.map({iteration: i for i, iteration in enumerate(grid.index)})
        drafted = marks.depth > 0
        ax.scatter(marks.position[~drafted] + 0.5, row[~drafted] + 0.5, s=7, color="#ff3b30", linewidth=0)
        ax.scatter(marks.position[drafted] + 0.5, row[drafted] + 0.5, s=9, facecolor="none", edgecolor="#ff3b30", linewidth=0.8)
        for edge in part.groupby("block").position.min().iloc[1:]:
            ax.axvline(edge, color="#333333", linewidth=0.7, linestyle="--")
        ax.set(xlabel="position in the answer", ylabel="iteration")
    caption = (f"{title} Confidence of every still masked position of the current block before each iteration. Dots: committed in that iteration "
               "(hollow: by an accepted draft). Dashed: block edges.")
    return Plot(id, caption, part.drop(columns=["sequence", "agrees"]), figure)
