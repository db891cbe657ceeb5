"""Decides how every figure looks and how it is kept: one style, colour plus marker, byte-stable files.

Figures are drawn at their final physical size without pyplot, so nothing global is touched and nothing leaks.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from psd_lib import paths
from psd_lib.errors import UserError

WIDTH = 7.0  # inches, the text width of a two-column page
RC = {
    "font.family": "DejaVu Sans", "font.size": 8, "axes.titlesize": 8.5, "axes.labelsize": 8, "legend.fontsize": 7,
    "xtick.labelsize": 7, "ytick.labelsize": 7, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#e4e4e4", "grid.linewidth": 0.6, "axes.axisbelow": True, "lines.linewidth": 1.3,
    "lines.markersize": 5, "legend.frameon": False, "figure.dpi": 150, "savefig.dpi": 200, "pdf.fonttype": 42,
    "svg.fonttype": "path", "svg.hashsalt": "psd", "path.simplify": False,
}  # fmt: skip
# Okabe-Ito colours, each with a marker of its own: no series is told apart by hue alone.
LOOKS = {
    "greedy": ("#000000", "o"), "top-k": ("#7f7f7f", "v"), "left-to-right": ("#8c6d31", "<"), "confidence": ("#0072b2", "s"),
    "LocalLeap": ("#e69f00", "D"), "Spiffy chain": ("#009e73", "^"), "PSD (confidence)": ("#d55e00", "P"),
    "PSD (LocalLeap)": ("#cc79a7", "X"), "PSD (top-k)": ("#56b4e9", "p"), "PSD (left-to-right)": ("#8c6d31", ">"),
}  # fmt: skip
SPARE = ("#44525e", "d")
RULES = {"subset": "*", "token_root": "h"}  # token_chain keeps its family's marker, drawn hollow
FILES = {
    "pdf": {"metadata": {"CreationDate": None, "Producer": None, "Creator": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "png": {"metadata": {"Software": None}},
}  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """A drawn figure with the points it shows and the caption it is cited with; shows itself in a notebook."""

    id: str
    caption: str
    data: pd.DataFrame
    figure: Figure

    def __repr__(self) -> str:
        return f"figure {self.id}: {self.caption}"

    def _ipython_display_(self) -> None:
        from IPython.display import Image, Markdown, display

        display(Image(self.png(), width=int(self.figure.get_figwidth() * 110), alt=self.caption),
                Markdown(f"*{self.caption}*"))

    def png(self) -> bytes:
        """The figure as PNG bytes."""
        buffer = io.BytesIO()
        with mpl.rc_context(RC):
            self.figure.savefig(buffer, format="png", **FILES["png"])
        return buffer.getvalue()

    def save(self, tier: str) -> Plot:
        """Writes pdf, svg, png, the plotted points as csv and the caption as txt; returns the plot, to be shown.

        Tier `mini` is what the project cites and goes to `figures/`, other tiers go beside their rows.
        """
        folder = folder_of(tier)
        folder.mkdir(parents=True, exist_ok=True)
        for kind in FILES:
            write(self.figure, folder / f"{self.id}.{kind}")
        self.data.to_csv(folder / f"{self.id}.csv", index=False, float_format="%.6g", lineterminator="\n")
        (folder / f"{self.id}.txt").write_text(self.caption + "\n", encoding="utf-8")
        return self


def write(figure: Figure, path: Path) -> None:
    """Saves a figure as the kind of file that its suffix names (pdf, svg or png), the same bytes every time.

    Raises:
        UserError: the suffix is none of them.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in FILES:
        raise UserError(f"a figure cannot be saved as {path.name}; choose a name that ends in one of: {', '.join(FILES)}.")
    with mpl.rc_context(RC):
        figure.savefig(path, format=kind, **FILES[kind])


def folder_of(tier: str) -> Path:
    """Where the figures of a tier are kept."""
    return paths.FIGURES if tier == "mini" else paths.RESULTS / tier / "figures"


def panels(columns: int, height: float = 2.5, rows: int = 1, width: float = WIDTH, **options) -> tuple[Figure, list[Axes]]:
    """A figure of `rows` x `columns` axes in the house style, axes in reading order; call it inside `RC`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def look(family: str) -> tuple[str, str]:
    """(colour, marker) of a decoder family; other acceptance rules share the colour and have markers of their own."""
    name, _, rule = family.partition(", ")
    colour, marker = LOOKS.get(name, SPARE)
    return colour, RULES.get(rule, marker)
