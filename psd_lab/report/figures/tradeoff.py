"""Accuracy against speed, and what the calls of each decoder cost."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd

from psd_lab.report.figures.style import RC, Plot, grid, look, model_looks, named, panels
from psd_lab.report.identity import Family
from psd_lab.report.results import Results
from psd_lab.report.tables.wording import TPF_MEANS, second_model

MANY = 12  # families; beyond, some names are so long that five columns do not fit


def points(results: Results) -> pd.DataFrame:
    """One row per model, task and decoder, with intervals; `frontier` marks the Pareto set of its
    cell.
    """
    found = results.numbers
    found["frontier"] = False
    for _, part in found.groupby(["model", "task"]):
        found.loc[part.index, "frontier"] = [
            not (
                (part.tpf >= p.tpf)
                & (part.accuracy >= p.accuracy)
                & ((part.tpf > p.tpf) | (part.accuracy > p.accuracy))
            ).any()
            for p in part.itertuples()
        ]
    return found


def pareto(results: Results, id: str, title: str, pooled: bool = False) -> Plot:
    """Accuracy against TPF, models x tasks panels: crosses are 95 % intervals, the grey step line
    is the frontier.

    `pooled`: all items of a model in one panel, whatever their task. Where families are `MANY`,
    only the frontier has crosses.
    """
    data = points(Results(results.frame.assign(task="all tasks")) if pooled else results)
    many = data.family.nunique() > MANY
    with mpl.rc_context(RC):
        figure, axes = grid(data)
        for ax, part in axes:
            _frontier(ax, part[part.frontier])
            for family, series in part.groupby("family", sort=False):
                _series(
                    ax, family, series.sort_values("tpf"), part.frontier if many else part.n > 0
                )
            _labels(ax, part)
            ax.set_title(f"{ax.get_title()} (n = {part.n.min()})")
            ax.margins(x=0.12, y=0.12)
        named(figure, axes, "tokens per forward (TPF)", "accuracy, %", columns=3 if many else 5)
    caption = (
        f"{title} {TPF_MEANS}. Crosses{', on the frontier only' if many else ''}: 95 % intervals"
        " (Wilson; bootstrap over items); grey: Pareto frontier of the point estimates; hollow:"
        " approximate acceptance rules. Labels: threshold, k or draft depth d."
        + second_model(results)
    )
    keep = [
        "model",
        "task",
        "decoder",
        "family",
        "point",
        "exact",
        "n",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "tpf",
        "tpf_low",
        "tpf_high",
        "frontier",
    ]
    return Plot(id, caption, data[keep], figure)


def ledger(results: Results, id: str, title: str) -> Plot:
    """What a token costs, one line per decoder and one mark per model: model calls, rows in them,
    milliseconds.
    """
    records = []
    for (model, _), part in results.frame.groupby(["model", "setting"], sort=False):
        tokens = part.tokens.sum()
        records.append(
            {
                "model": model,
                "decoder": part.label.iloc[0],
                "family": part.family.iloc[0],
                "calls": part.nfe.sum() / tokens,
                "rows": part.rows.sum() / tokens,
                "model_ms": part.model_ms.sum() / tokens,
                "loop_ms": part.loop_ms.sum() / tokens,
                "items": len(part),
            }
        )
    data = pd.DataFrame(records)
    place = {decoder: -at for at, decoder in enumerate(data.decoder.unique())}
    with mpl.rc_context(RC):
        figure, axes = panels(3, height=1.2 + 0.19 * len(place), sharey=True)
        for name, (colour, marker) in model_looks(data.model.unique()).items():
            part = data[data.model == name]
            y = part.decoder.map(place)
            for ax, values in zip(
                axes, (part.calls, part.rows, part.model_ms + part.loop_ms), strict=True
            ):
                ax.plot(
                    values, y, color=colour, marker=marker, linestyle="none", label=name, alpha=0.85
                )
            axes[2].hlines(
                y, part.model_ms, part.model_ms + part.loop_ms, color=colour, linewidth=1
            )
        for ax, unit in zip(axes, ("calls", "rows", "ms"), strict=True):
            ax.set(xlabel=f"{unit} per token", xlim=(0, None))
        axes[0].set_yticks(list(place.values()), list(place))
        figure.legend(
            *axes[0].get_legend_handles_labels(),
            loc="outside lower center",
            ncols=data.model.nunique(),
        )
    caption = (
        f"{title} Per token before EOS, all tasks together, {int(data['items'].min())} answers per"
        " mark: model calls, rows (guessed states) in those calls, wall-clock milliseconds (the"
        " line that ends in a mark is the loop's share) on the machine and batch of this run."
        " Fewer calls are paid for with more rows."
    )
    return Plot(id, caption, data, figure)


def _series(ax, family: Family, series: pd.DataFrame, crossed: pd.Series) -> None:
    colour, marker = look(family)
    exact, known = bool(series.exact.all()), series[crossed.loc[series.index]]
    spread = [
        [known.tpf - known.tpf_low, known.tpf_high - known.tpf],
        [100 * (known.accuracy - known.accuracy_low), 100 * (known.accuracy_high - known.accuracy)],
    ]
    xerr, yerr = (np.nan_to_num(np.array(s, dtype=float)) for s in spread)
    ax.errorbar(
        known.tpf,
        100 * known.accuracy,
        xerr=xerr,
        yerr=yerr,
        color=colour,
        alpha=0.35,
        fmt="none",
        linewidth=0.8,
    )
    ax.plot(
        series.tpf,
        100 * series.accuracy,
        color=colour,
        marker=marker,
        linestyle="-" if exact else ":",
        label=str(family),
        markerfacecolor=colour if exact else "white",
    )


def _labels(ax, part: pd.DataFrame) -> None:
    """Short labels beside the points, fastest of a family first; a label that would cover another
    one is left out.
    """
    wide, high = (max(float(part[c].max() - part[c].min()), 1e-9) for c in ("tpf", "accuracy"))
    placed: list[tuple[float, float]] = []
    for row in part.sort_values(["tpf"], ascending=False).itertuples():
        here = (row.tpf / wide, row.accuracy / high)
        if row.point and all(abs(here[0] - x) > 0.09 or abs(here[1] - y) > 0.09 for x, y in placed):
            placed.append(here)
            ax.annotate(
                row.point,
                (row.tpf, 100 * row.accuracy),
                xytext=(0, 5),
                textcoords="offset points",
                ha="center",
                fontsize=6,
                color=look(row.family)[0],
            )


def _frontier(ax, best: pd.DataFrame) -> None:
    best = best.sort_values("tpf")
    ax.step(
        best.tpf,
        100 * best.accuracy,
        where="pre",
        color="#bbbbbb",
        linewidth=3,
        zorder=0,
        solid_capstyle="round",
    )
