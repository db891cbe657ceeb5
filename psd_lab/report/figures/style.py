"""How every figure looks and is kept: one style, colour plus marker, byte-stable files.

Figures are drawn at their final physical size without pyplot, so nothing global is touched and
nothing leaks.
"""

from __future__ import annotations

import io
import itertools
import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from psd_lab import paths
from psd_lab.files import write_atomically
from psd_lab.report.identity import AUTOREGRESSIVE, GREEDY, Family
from psd_lab.report.selector import family
from psd_lab.runs.tiers import CITED
from psd_lib.errors import UserError

WIDTH = 7.0  # inches, the text width of a two-column page
LEGEND_LINE = 0.15  # inches that one line of a legend takes
RC = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.3,
    "lines.markersize": 5,
    "legend.frameon": False,
    "figure.dpi": 150,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "psd",
    "path.simplify": False,
}
# Okabe-Ito colours, each with a marker of its own: no series is told apart by hue alone.
LOOKS = {
    Family(GREEDY): ("#000000", "o"),
    Family("top_k"): ("#7f7f7f", "v"),
    Family("left_to_right"): ("#8c6d31", "<"),
    Family("confidence"): ("#0072b2", "s"),
    Family("local_leap"): ("#e69f00", "D"),
    family(decoder="spiffy"): ("#009e73", "^"),
    family(decoder="psd"): ("#d55e00", "P"),
    family(decoder="psd", policy="local_leap"): ("#cc79a7", "X"),
    family(decoder="psd", policy="top_k", k=2): ("#56b4e9", "p"),
    family(decoder="psd", policy="left_to_right"): ("#8c6d31", ">"),
    Family(AUTOREGRESSIVE): ("#5b3a8c", "*"),
    # Letters, because no further shapes are left that can be told apart at this size.
    Family("factor"): ("#56b4e9", "$f$"),
    Family("entropy_bound"): ("#56b4e9", "$b$"),
    Family("margin"): ("#56b4e9", "$m$"),
    Family("entropy"): ("#56b4e9", "$e$"),
    Family("sdar_dynamic"): ("#a6761d", "$d$"),
    Family("sdar_static"): ("#a6761d", "$s$"),
    Family("sdar_sequential"): ("#a6761d", "$q$"),
    Family("hierarchy"): ("#a6761d", "$h$"),
    Family("klass"): ("#7570b3", "$K$"),
    Family("credit"): ("#7570b3", "$C$"),
    Family("wino"): ("#7570b3", "$W$"),
    Family("apd"): ("#44525e", "$A$"),
    family(decoder="prophet"): ("#1b9e77", "$P$"),
    family(decoder="sched"): ("#1b9e77", "$T$"),
    family(decoder="lopa"): ("#e7298a", "$L$"),
    family(decoder="ete"): ("#e7298a", "$E$"),
    family(decoder="fdm"): ("#e7298a", "$F$"),
    family(decoder="fdm_a"): ("#e7298a", "$G$"),
    family(decoder="spiffy", drafter="calibrated"): ("#009e73", "$Y$"),
    family(decoder="ssd"): ("#66a61e", "$S$"),
    family(decoder="freedave"): ("#66a61e", "$V$"),
    family(decoder="freedave", policy="confidence"): ("#66a61e", "$U$"),
    family(decoder="simsd"): ("#44525e", "$M$"),
    family(decoder="psd", policy="factor", drafter="order_swap"): ("#56b4e9", "$1$"),
    family(decoder="psd", policy="entropy_bound", drafter="order_swap"): ("#56b4e9", "$2$"),
    family(decoder="psd", policy="margin", drafter="order_swap"): ("#56b4e9", "$3$"),
}
SPARE = (
    ("#44525e", "d"),
    ("#a6761d", "8"),
    ("#66a61e", "H"),
    ("#7570b3", "1"),
    ("#e7298a", "2"),
    ("#1b9e77", "3"),
)
RULES = {
    "subset": "*",
    "token_root": "h",
    "order_swap": ">",
    "calibrated": "$Y$",
    "mix_order": "v",
    "draft_model": "d",
    "eager": "8",
}
# token_chain keeps its family's marker, drawn hollow
MODELS = (("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "D"), ("#cc79a7", "^"), ("#e69f00", "v"))
FILES = {
    "pdf": {"metadata": {"CreationDate": None, "Producer": None, "Creator": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "png": {"metadata": {"Software": None}},
}


@dataclass(frozen=True)
class Plot:
    """A drawn figure with the points it shows and the caption it is cited with; shows itself in a
    notebook.
    """

    id: str
    caption: str
    data: pd.DataFrame
    figure: Figure

    def __repr__(self) -> str:
        return f"figure {self.id}: {self.caption}"

    def _ipython_display_(self) -> None:
        from IPython.display import Image, Markdown, display

        display(
            Image(self.png(), width=int(self.figure.get_figwidth() * 110), alt=self.caption),
            Markdown(f"*{self.caption}*"),
        )

    def png(self) -> bytes:
        """The figure as PNG bytes."""
        buffer = io.BytesIO()
        with mpl.rc_context(RC):
            _settle(self.figure)
            self.figure.savefig(buffer, format="png", **FILES["png"])
        return buffer.getvalue()

    def save(self, tier: str) -> Plot:
        """Write pdf, svg, png, the plotted points as csv and the caption as txt; return the plot,
        to be shown.

        The tier that the project cites goes to `figures/`, other tiers go beside their rows.
        """
        folder = folder_of(tier)
        for kind in FILES:
            write(self.figure, folder / f"{self.id}.{kind}")
        points = self.data.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        write_atomically(folder / f"{self.id}.csv", points)
        write_atomically(folder / f"{self.id}.txt", self.caption + "\n")
        return self


def write(figure: Figure, path: Path) -> None:
    """Save a figure as the kind of file that its suffix names (pdf, svg or png), the same bytes
    every time.

    Raises:
        UserError: the suffix is none of them.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in FILES:
        raise UserError(
            f"a figure cannot be saved as {path.name}; choose a name that ends in one of:"
            f" {', '.join(FILES)}."
        )
    with mpl.rc_context(RC):
        _settle(figure)
        write_atomically(path, lambda draft: figure.savefig(draft, format=kind, **FILES[kind]))


def _settle(figure: Figure) -> None:
    """Lay the figure out once for all files that it is saved as: a layout measures every text,
    which costs as much as drawing.
    """
    if figure.get_layout_engine() is not None:
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")


def folder_of(tier: str) -> Path:
    """Where the figures of a tier are kept."""
    return paths.FIGURES if tier == CITED else paths.RESULTS / tier / "figures"


def panels(
    columns: int, height: float = 2.5, rows: int = 1, width: float = WIDTH, **options
) -> tuple[Figure, list[Axes]]:
    """A figure of `rows` x `columns` axes in the house style, axes in reading order; call it inside
    `RC`.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def grid(data: pd.DataFrame) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """Small multiples of `data` (columns model, task): one row of axes per model, one column per
    task, in that order.

    Returns the figure and (axes, rows of that cell) for every cell that has rows; an empty cell is
    hidden.
    """
    models, tasks = list(data.model.unique()), list(data.task.unique())
    figure, axes = panels(
        len(tasks), rows=len(models), height=0.9 + 2.1 * len(models), sharex="row", sharey="row"
    )
    found = []
    for ax, (model, task) in zip(axes, itertools.product(models, tasks), strict=True):
        part = data[(data.model == model) & (data.task == task)]
        ax.set_title(task if len(models) == 1 else f"{model}, {task}")
        if part.empty:
            ax.set_visible(False)
        else:
            found.append((ax, part))
    return figure, found


def named(
    figure: Figure, cells: list[tuple[Axes, pd.DataFrame]], x: str, y: str, columns: int = 4
) -> None:
    """Labels the outer axes of a grid and gives it one legend, for which the figure grows so that
    the axes keep their height.
    """
    entries = {}
    for ax, _ in cells:
        place = ax.get_subplotspec()
        ax.set_xlabel(x if place.is_last_row() else "")
        ax.set_ylabel(y if place.is_first_col() else "")
        entries |= {
            name: handle for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)
        }
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside lower center",
        ncols=min(len(entries), columns),
    )
    figure.set_figheight(
        figure.get_figheight() + LEGEND_LINE * max(0, math.ceil(len(entries) / columns) - 2)
    )


def look(of: Family) -> tuple[str, str]:
    """(colour, marker) of a decoder family; with other strategies than the usual ones it has the
    colour of its method and a marker of its own.

    A family that is not in the list gets one of the spare looks by its method and policy, the same
    in every figure.
    """
    if of in LOOKS:
        return LOOKS[of]
    base = of.base
    key = f"{base.method}-{base.policy}".encode()
    colour, marker = LOOKS.get(base) or SPARE[zlib.crc32(key) % len(SPARE)]
    return colour, RULES.get(", ".join(of.exchanged), marker)


def model_looks(models: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(colour, marker) of every model, by its place."""
    return dict(zip(models, itertools.cycle(MODELS)))
