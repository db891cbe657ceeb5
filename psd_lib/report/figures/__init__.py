"""Figures of the project: each function draws one and returns a `Plot`, which saves and shows itself."""

from psd_lib.report.figures.order import strips
from psd_lib.report.figures.scores import heatmap, precision, reliability
from psd_lib.report.figures.steps import stages, survival
from psd_lib.report.figures.style import Plot
from psd_lib.report.figures.tradeoff import ledger, pareto, points

__all__ = ["Plot", "heatmap", "ledger", "pareto", "points", "precision", "reliability", "stages", "strips", "survival"]  # fmt: skip
