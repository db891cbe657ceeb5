"""Figures of the project: each function draws one and returns a `Plot`, which saves and shows
itself.

`calibration_figure` and `learning_curve_figure` are for model cards: they take plain data and
return a bare figure, which `write` saves.
"""

from psd_lab.report.figures.calibration import calibration_figure
from psd_lab.report.figures.learning import learning_curve_figure
from psd_lab.report.figures.order import strips
from psd_lab.report.figures.paradigms import contrast
from psd_lab.report.figures.scores import heatmap, precision, reliability
from psd_lab.report.figures.steps import stages, survival
from psd_lab.report.figures.style import Plot, write
from psd_lab.report.figures.tradeoff import ledger, pareto, points

__all__ = [
    "Plot",
    "calibration_figure",
    "contrast",
    "heatmap",
    "learning_curve_figure",
    "ledger",
    "pareto",
    "points",
    "precision",
    "reliability",
    "stages",
    "strips",
    "survival",
    "write",
]
