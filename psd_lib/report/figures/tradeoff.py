"""Decides how accuracy against speed is drawn, and what the calls of each decoder cost."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd

from psd_lib.report.figures.style import RC, Plot, look, panels
from psd_lib.report.tables import TPF_MEANS, summarise


def points(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per (model, task, decoder) of prepared rows, with intervals; `frontier` marks the Pareto set of its task."""
    records = [summarise(part, setting) for _, part in frame.groupby(["model", "task"], sort=False)
               for setting in part.setting.unique()]
    found = pd.DataFrame(records)
    found["frontier"] = False
    for _, part in found.groupby(["model", "task"]):
        found.loc[part.index, "frontier"] = [
            not ((part.tpf >= p.tpf) & (part.accuracy >= p.accuracy) & ((part.tpf > p.tpf) | (part.accuracy > p.accuracy))).any()
            for p in part.itertuples()
        ]
    return found


def pareto(frame: pd.DataFrame, id: str, title: str) -> Plot:
    """Accuracy against TPF, one panel per task: crosses are 95 % intervals, the grey step line is the frontier."""
    data = points(frame)
    tasks = list(data.task.unique())
    with mpl.rc_context(RC):
        figure, axes = panels(len(tasks), height=3.1)
        for ax, task in zip(axes, tasks, strict=True):
            part = data[data.task == task]
            _frontier(ax, part[part.frontier])
            for family, series in part.groupby("family", sort=False):
                _series(ax, family, series.sort_values("tpf"))
            _labels(ax, part)
            ax.set(title=f"{task} (n = {part.n.min()})", xlabel="tokens per forward (TPF)")
            ax.margins(x=0.12, y=0.12)
        axes[0].set_ylabel("accuracy, %")
        handles, names = _legend(axes)
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 5))
    caption = (f"{title} {TPF_MEANS}. Crosses: 95 % intervals (Wilson; bootstrap over items); grey: Pareto frontier of the "
               "point estimates; hollow: approximate acceptance rules. Labels: threshold, k or draft depth d.")
    keep = ["model", "task", "decoder", "family", "point", "exact", "n", "accuracy", "accuracy_low", "accuracy_high",
            "tpf", "tpf_low", "tpf_high", "frontier"]
    return Plot(id, caption, data[keep], figure)


def ledger(frame: pd.DataFrame, id: str, title: str) -> Plot:
    """What a token costs: model calls, rows in them, and milliseconds inside and outside the model, per decoder."""
    records = []
    for _, part in frame.groupby("setting", sort=False):
        tokens = part.tokens.sum()
        records.append({"decoder": part.label.iloc[0], "family": part.family.iloc[0], "calls": part.nfe.sum() / tokens,
                        "rows": part.rows.sum() / tokens, "model_ms": part.model_ms.sum() / tokens,
                        "loop_ms": part.loop_ms.sum() / tokens, "items": len(part)})
    data = pd.DataFrame(records)
    places = np.arange(len(data))[::-1]
    colours = [look(family)[0] for family in data.family]
    with mpl.rc_context(RC):
        figure, axes = panels(3, height=0.9 + 0.19 * len(data), sharey=True)
        for ax, column, name in zip(axes, ("calls", "rows", "model_ms"), ("calls", "rows", "ms"), strict=True):
            ax.barh(places, data[column], color=colours, height=0.7)
            ends = data[column] + (data.loop_ms if column == "model_ms" else 0)
            for place, end in zip(places, ends, strict=True):
                ax.text(end, place, f" {end:.2f}", va="center", fontsize=6)
            ax.set_xlabel(f"{name} per token")
            ax.grid(axis="y", visible=False)
            ax.margins(x=0.18)
        axes[2].barh(places, data.loop_ms, left=data.model_ms, height=0.7, color="white", edgecolor=colours, hatch="////")
        axes[0].set_yticks(places, data.decoder)
    caption = (f"{title} Per token before EOS, all tasks together, {int(data['items'].min())} items each: model calls, rows (guessed states) in "
               "those calls, wall-clock milliseconds (solid: in the model; hatched: the loop) on the machine and batch of "
               "this run. Fewer calls are paid for with more rows.")
    return Plot(id, caption, data, figure)


def _series(ax, family: str, series: pd.DataFrame) -> None:
    colour, marker = look(family)
    exact = bool(series.exact.all())
    spread = [[series.tpf - series.tpf_low, series.tpf_high - series.tpf],
              [100 * (series.accuracy - series.accuracy_low), 100 * (series.accuracy_high - series.accuracy)]]
    xerr, yerr = (np.nan_to_num(np.array(s, dtype=float)) for s in spread)
    ax.errorbar(series.tpf, 100 * series.accuracy, xerr=xerr, yerr=yerr, color=colour, alpha=0.35, fmt="none", linewidth=0.8)
    ax.plot(series.tpf, 100 * series.accuracy, color=colour, marker=marker, linestyle="-" if exact else ":", label=family,
            markerfacecolor=colour if exact else "white")


def _labels(ax, part: pd.DataFrame) -> None:
    """Short labels beside the points, fastest of a family first; a label that would cover another one is left out."""
    wide, high = (max(float(part[c].max() - part[c].min()), 1e-9) for c in ("tpf", "accuracy"))
    placed: list[tuple[float, float]] = []
    for row in part.sort_values(["tpf"], ascending=False).itertuples():
        here = (row.tpf / wide, row.accuracy / high)
        if row.point and all(abs(here[0] - x) > 0.09 or abs(here[1] - y) > 0.09 for x, y in placed):
            placed.append(here)
            ax.annotate(row.point, (row.tpf, 100 * row.accuracy), xytext=(0, 5), textcoords="offset points", ha="center",
                        fontsize=6, color=look(row.family)[0])


def _frontier(ax, best: pd.DataFrame) -> None:
    best = best.sort_values("tpf")
    ax.step(best.tpf, 100 * best.accuracy, where="pre", color="#bbbbbb", linewidth=3, zorder=0, solid_capstyle="round")


def _legend(axes) -> tuple[list, list]:
    found = {name: handle for ax in axes for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    return list(found.values()), list(found)
