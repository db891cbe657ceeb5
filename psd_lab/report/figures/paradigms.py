"""Decides how kinds of models are drawn against each other, all tasks together."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd

from psd_lab.report import paradigms
from psd_lab.report.figures.style import RC, Plot, model_looks, panels


def contrast(frame: pd.DataFrame, id: str, title: str) -> Plot:
    """Left: acceptance by depth on greedy. Right: what speed costs, along the thresholds of the
    confidence policy.
    """
    drafts = paradigms.survival(frame).astype(
        {"depth": int, "survival": float, "low": float, "high": float}
    )
    speed = paradigms.tradeoff(frame).query("family in ('greedy', 'confidence')").sort_values("tpf")
    with mpl.rc_context(RC):
        figure, (left, right) = panels(2, height=3.1)
        for name, (colour, marker) in model_looks(speed.model.unique()).items():
            line, points = drafts[drafts.model == name], speed[speed.model == name]
            left.fill_between(
                line.depth,
                np.nan_to_num(line.low, nan=0),
                np.nan_to_num(line.high, nan=1),
                color=colour,
                alpha=0.12,
                linewidth=0,
            )
            left.plot(line.depth, line.survival, color=colour, marker=marker, label=name)
            error = np.nan_to_num(
                [
                    points.difference - points.difference_low,
                    points.difference_high - points.difference,
                ]
            )
            right.errorbar(
                points.tpf,
                100 * points.difference,
                yerr=100 * np.maximum(error, 0),
                color=colour,
                alpha=0.35,
                fmt="none",
                linewidth=0.8,
            )
            right.plot(points.tpf, 100 * points.difference, color=colour, marker=marker)
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
