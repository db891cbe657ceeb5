"""Kinds of models against each other, all tasks together."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from psd_lab.report import paradigms
from psd_lab.report.figures.style import RC, Plot, model_looks, panels
from psd_lab.report.results import Results


def contrast(results: Results, id: str, title: str) -> Plot:
    """Left: acceptance by depth on greedy. Right: what speed costs, along the thresholds of the
    confidence policy.
    """
    drafts = paradigms.survival(results).astype(
        {"depth": int, "survival": float, "low": float, "high": float}
    )
    data = paradigms.tradeoff(results)
    speed = data[paradigms.is_alone(data)].sort_values("tpf").drop(columns="setting")
    with mpl.rc_context(RC):
        figure, (left, right) = panels(2, height=3.1)
        for name, (colour, marker) in model_looks(speed.model.unique()).items():
            _acceptance(left, drafts[drafts.model == name], color=colour, marker=marker, label=name)
            _cost_of_speed(right, speed[speed.model == name], color=colour, marker=marker)
        left.set(
            xlabel="draft depth d",
            ylabel="share of calls with ≥ d accepted",
            ylim=(0, 1),
            xticks=sorted(drafts.depth.unique()),
        )
        right.axhline(0, color="#777777", linestyle=":", linewidth=0.9)
        right.set(xlabel="tokens per forward (TPF)", ylabel="accuracy minus greedy's, points")
        figure.legend(
            *left.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=speed.model.nunique(),
        )
    caption = (
        f"{title} Left: of the calls that verify at least d drafts of greedy steps, the share that"
        " accepts at least d. Right: greedy (TPF near 1) and the confidence policy at its"
        " thresholds, without drafts; bars: 95 % intervals of the paired difference. All tasks"
        " together."
    )
    data = pd.concat(
        [drafts.assign(panel="acceptance"), speed.assign(panel="speed")], ignore_index=True
    )
    return Plot(id, caption, data, figure)


def _acceptance(ax: Axes, line: pd.DataFrame, color: str, **look) -> None:
    low, high = np.nan_to_num(line.low, nan=0), np.nan_to_num(line.high, nan=1)
    ax.fill_between(line.depth, low, high, color=color, alpha=0.12, linewidth=0)
    ax.plot(line.depth, line.survival, color=color, **look)


def _cost_of_speed(ax: Axes, points: pd.DataFrame, color: str, **look) -> None:
    difference = points.difference
    error = np.nan_to_num([difference - points.difference_low, points.difference_high - difference])
    ax.errorbar(
        points.tpf,
        100 * difference,
        yerr=100 * np.maximum(error, 0),
        color=color,
        alpha=0.35,
        fmt="none",
        linewidth=0.8,
    )
    ax.plot(points.tpf, 100 * difference, color=color, **look)
