"""Single iterations: acceptance by depth, and which axis contributes at which stage."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd

from psd_lab.report import steps
from psd_lab.report.figures.style import RC, Plot, grid, look, named, panels
from psd_lab.report.identity import Decoder, Family
from psd_lab.report.results import Results


def survival(results: Results, id: str, title: str) -> Plot:
    """P(at least d drafts accepted | at least d offered), models x tasks panels, one line per
    decoder family.

    Each family is drawn at its greatest depth in `results`, where the whole curve is visible.
    `subset` and `token_root` are left out: they jump over levels, so what they accept is no depth.
    """
    walked = results.frame[results.frame.acceptor.isin(("replay", "token_chain"))]
    greatest = walked.groupby("family", sort=False).depth.transform("max")
    data = steps.acceptance(Results(walked[walked.depth == greatest]))
    with mpl.rc_context(RC):
        figure, cells = grid(data)
        for ax, part in cells:
            for family, line in part.groupby("family", sort=False):
                _line(ax, line, family)
            ax.set(ylim=(0, 1), xticks=sorted(part.depth.unique()))
        named(figure, cells, "draft depth d", "share with ≥ d accepted")
    calls = int(data[data.depth == 1].n.min())
    caption = (
        f"{title} Share of the calls that were offered at least d drafts in which at least d were"
        f" accepted, at least {calls} calls per point at d = 1 (n per depth in the data file)."
        " Bands: 95 % bootstrap over items. One accepted draft is one policy step that cost no"
        " call. Hollow: approximate rules."
    )
    return Plot(id, caption, data, figure)


def stages(results: Results, decoders: list[Decoder], id: str, title: str) -> Plot:
    """Tokens per iteration from the policy's own step and from accepted drafts, by progress within
    the block; models x decoders.
    """
    parts = []
    for model, part in results.by_model.items():
        for decoder in decoders:
            by_stage = steps.contributions(part, decoder)
            parts.append(by_stage.assign(model=model, decoder=part.label(decoder)))
    data = pd.concat(parts, ignore_index=True)
    with mpl.rc_context(RC):
        figure, axes = panels(
            len(decoders),
            rows=len(parts) // len(decoders),
            height=0.6 + 1.9 * len(parts) / len(decoders),
            width=min(7.0, 3.5 * len(decoders)),
            sharey=True,
            sharex=True,
        )
        for ax, part in zip(axes, parts, strict=True):
            _stage_bars(ax, part)
            place = ax.get_subplotspec()
            ax.set_title(part.decoder.iloc[0] if place.is_first_row() else "")
            ax.set_xlabel("progress within the block, %" if place.is_last_row() else "")
            ax.set_ylabel(
                f"{part.model.iloc[0]}\ntokens per iteration" if place.is_first_col() else ""
            )
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2)
    caption = (
        f"{title} Tokens committed per iteration, all tasks together, split by who committed them."
        " Progress: share of the block's tokens that were committed before the iteration."
        " Intervals and n per bar are in the data file."
    )
    return Plot(id, caption, data, figure)


def _stage_bars(ax, part: pd.DataFrame) -> None:
    wide = part.pivot(index="stage", columns="axis", values="tokens")
    own, drafts = wide["policy step"], wide["accepted drafts"]
    ax.bar(own.index, own, color="#0072b2", width=0.75, label="policy's own step (spatial)")
    ax.bar(
        own.index,
        drafts,
        bottom=own,
        color="#f0b58f",
        edgecolor="#d55e00",
        hatch="////",
        width=0.75,
        label="accepted drafts (temporal)",
    )
    for stage in own.index:
        ax.text(
            stage,
            own[stage] / 2,
            f"{own[stage]:.2f}",
            ha="center",
            va="center",
            color="white",
            fontsize=6,
        )
        ax.text(
            stage,
            own[stage] + drafts[stage],
            f"+{drafts[stage]:.2f}",
            ha="center",
            va="bottom",
            fontsize=6,
        )
    ax.set_xticks(
        list(own.index),
        [f"{100 * (s - 1) // steps.STAGES}-{100 * s // steps.STAGES}" for s in own.index],
    )
    ax.grid(axis="x", visible=False)
    ax.margins(y=0.12)


def _line(ax, line: pd.DataFrame, family: Family) -> None:
    colour, marker = look(family)
    exact = bool(line.exact.all())
    low, high = np.nan_to_num(line.low, nan=0), np.nan_to_num(line.high, nan=1)
    ax.fill_between(line.depth, low, high, color=colour, alpha=0.12, linewidth=0)
    ax.plot(
        line.depth,
        line.survival,
        color=colour,
        marker=marker,
        linestyle="-" if exact else ":",
        label=str(family),
        markerfacecolor=colour if exact else "white",
    )
