"""Calibration of a model from plain arrays: does confidence say how often it is right?"""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from psd_lab.report import stats
from psd_lab.report.figures.style import RC, panels
from psd_lib.errors import UserError

COLOUR = "#0072b2"


def calibration_figure(
    confidence: ArrayLike, correct: ArrayLike, title: str, bins: int = 10
) -> Figure:
    """Draws confidence against correctness: share that was right per bin (left) and how many cases
    it has (right).

    Bin b of B holds confidences from b/B up to, without, (b+1)/B; the last one holds 1, too. A
    point stands at the mean confidence of its bin, its bar is a 95 % Wilson interval that takes
    cases as independent. Save it with `figures.write(figure, path)`, which gives the same bytes
    every time.

    Args:
        confidence: probabilities in 0..1, `[I]`.
        correct: right (1, True) or wrong (0, False) for each of them, `[I]`.
        title: shown above the panels, with the number of cases and the expected calibration error.

    Raises:
        UserError: no case at all, different lengths, or values out of range.
    """
    confidence, correct = _checked(confidence, correct)
    cell = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(cell, minlength=bins)
    used = np.flatnonzero(counts)
    mean = np.array([confidence[cell == b].mean() for b in used])
    share = [stats.wilson(int(correct[cell == b].sum()), int(counts[b])) for b in used]
    error = (
        sum(counts[b] * abs(m - s.value) for b, m, s in zip(used, mean, share, strict=True))
        / counts.sum()
    )
    with mpl.rc_context(RC):
        figure, (left, right) = panels(2, height=2.9, width=6.0)
        figure.suptitle(
            f"{title} ({counts.sum()} cases, expected calibration error {error:.3f})", fontsize=8.5
        )
        value, low, high = np.array([(s.value, s.low, s.high) for s in share]).T
        reliability_axes(left, mean, value, low, high)
        left.set(xlabel="confidence", ylabel="share correct")
        right.bar((np.arange(bins) + 0.5) / bins, counts, width=0.9 / bins, color=COLOUR)
        for b in used:
            right.text(
                (b + 0.5) / bins, counts[b], str(counts[b]), ha="center", va="bottom", fontsize=5.5
            )
        right.set(xlabel="confidence", ylabel="cases", xlim=(0, 1.02))
        right.margins(y=0.1)
    return figure


def reliability_axes(
    ax: Axes, mean: ArrayLike, share: ArrayLike, low: ArrayLike, high: ArrayLike, **look
) -> None:
    """Draws one reliability line with its intervals over the diagonal of perfect calibration."""
    share, low, high = (np.asarray(v, dtype=float) for v in (share, low, high))
    if not ax.lines:
        ax.plot([0, 1], [0, 1], color="#999999", linestyle="--", linewidth=0.9)
        ax.text(
            0.52,
            0.45,
            "perfectly calibrated",
            rotation=40,
            fontsize=6.5,
            color="#666666",
            ha="left",
            va="top",
        )
    # A share on its interval's edge may be above it by rounding, and error bars have no negative
    # length.
    error = np.maximum(np.nan_to_num([share - low, high - share]), 0)
    ax.errorbar(mean, share, yerr=error, capsize=2, **{"color": COLOUR, "marker": "o", **look})
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02))
    ax.set_aspect("equal")


def _checked(confidence: ArrayLike, correct: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    confidence, correct = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    if confidence.shape != correct.shape or confidence.ndim != 1 or confidence.size == 0:
        raise UserError(
            "calibration needs one confidence and one verdict per case, got shapes"
            f" {confidence.shape} and {correct.shape}."
        )
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise UserError("confidences must be probabilities from 0 to 1.")
    if not np.isin(correct, (0, 1)).all():
        raise UserError("every case must be right (1) or wrong (0).")
    return confidence, correct
