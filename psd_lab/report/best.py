"""The fastest decoder at greedy's accuracy: PSD with our drafters, or another method.

*Ours* is decoder `psd` with drafts of `DRAFTERS` and an exact rule of acceptance. *Others* is
everything else that was run and needs no second trained model: policies alone, branching decoders,
other methods with drafts, and PSD with approximate acceptance too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from psd_lab.report.identity import Decoder
from psd_lab.report.results import Results
from psd_lab.report.stats import NAN, Estimate
from psd_lab.report.table import Table

DRAFTERS = ("chain", "order_swap", "calibrated")
MARGIN = 0.01
EQUIVALENT = 0.02
SAME = Estimate(0.0, 0.0, 0.0, 0)  # greedy against itself
UNKNOWN = Estimate(NAN, NAN, NAN, 0)
CAPTION = (
    "{title} PSD has the higher TPF in {won} of {cells} cells; in {published} where approximate"
    " acceptance in PSD and in its baseline Spiffy, which no paper publishes, is left out."
    " Fastest decoder at greedy's accuracy: at most {margin:.0f} point below it on the same items,"
    " or a paired 95 % interval within ±{equivalent:.0f} points. PSD: drafts of {drafters},"
    " accepted by an exact rule; other: every other decoder without a second trained model,"
    " approximate acceptance in PSD included. Brackets: 95 % paired intervals (Bonett-Price for"
    " accuracy, bootstrap over items for ratios). Both sides are picked after the fact, so small"
    " ratios mean little."
)
TOO_INACCURATE = (
    "{name} would be faster than {rival}, with TPF {tpf:.2f}, but its accuracy differs from"
    " greedy's by {difference} points: its policy loses that much"
)
TOO_SLOW = (
    "{rival} takes at least as many tokens a call as any PSD decoder{aside}: the fastest, {name},"
    " has TPF {tpf:.2f}"
)


@dataclass(frozen=True)
class Candidate:
    """A decoder of one cell: its speed, its accuracy against greedy's, and whose it is."""

    decoder: Decoder
    name: str
    tpf: float
    difference: Estimate
    equal: bool
    ours: bool


def cells(results: Results, margin: float = MARGIN, equivalent: float = EQUIVALENT) -> pd.DataFrame:
    """One row per model and task that greedy and PSD were run on: the fastest of ours and of the
    others at equal accuracy.

    Equal accuracy: at most `margin` below greedy's on the same items, or the paired 95 % interval
    lies within +-`equivalent`. Ties in TPF go to what was run first.

    Returns:
        columns model, task, n, ours, ours_tpf, ours_difference, other, other_tpf, other_difference
        (with `_low`, `_high`), ratio, ratio_low, ratio_high, won (ratio above 1), why. `ours` is ""
        where none of ours keeps the accuracy.
    """
    records = []
    for (model, task), cell in results.cells.items():
        found = candidates(cell, margin, equivalent)
        if any(candidate.ours for candidate in found):
            records.append({"model": model, "task": task, **_compare(cell, found)})
    return pd.DataFrame(records)


def table(results: Results, id: str, title: str) -> Table:
    """The cells with what was won and what was lost."""
    data = cells(results)
    exact = results.frame.exact.astype(bool)
    published = cells(results.where(exact | ~results.frame.decoder.isin(("psd", "spiffy"))))
    caption = CAPTION.format(
        title=title,
        won=int(data.won.sum()) if len(data) else 0,
        cells=len(data),
        published=int(published.won.sum()) if len(published) else 0,
        margin=100 * MARGIN,
        equivalent=100 * EQUIVALENT,
        drafters=", ".join(DRAFTERS),
    )
    return Table(id, caption, data, pd.DataFrame([_line(row) for row in data.itertuples()]))


def candidates(cell: Results, margin: float, equivalent: float) -> list[Candidate]:
    """All decoders of one cell that need no second trained model and can be held against greedy."""
    found = []
    for decoder, rows in cell.parts.items():
        if decoder.models or cell.greedy(decoder) is None:
            continue
        pair = cell.against_greedy(decoder)
        difference = SAME if pair is None else pair.accuracy_difference
        shown = difference.known and -equivalent <= difference.low <= difference.high <= equivalent
        found.append(
            Candidate(
                decoder,
                cell.label(decoder),
                rows.tokens.sum() / rows.nfe.sum(),
                difference,
                round(difference.value, 9) >= -margin or shown,
                decoder.decoder == "psd"
                and decoder.depth > 0
                and bool(rows.exact.iloc[0])
                and decoder.drafter.name in DRAFTERS,
            )
        )
    return found


def _compare(cell: Results, found: list[Candidate]) -> dict[str, Any]:
    ours = _fastest(c for c in found if c.equal and c.ours)
    other = _fastest(c for c in found if c.equal and not c.ours)
    quickest = _fastest(c for c in found if c.ours)
    if ours is None:
        ratio = Estimate(NAN, NAN, NAN, len(cell.parts[other.decoder]))
    else:
        ratio = cell.pair(ours.decoder, other.decoder).tpf_ratio
    return {
        "n": ratio.n,
        **_side("ours", ours),
        **_side("other", other),
        **ratio.columns("ratio"),
        "won": ratio.value > 1,
        "why": "" if ratio.value > 1 else _why(ours, other, quickest),
    }


def _fastest(found) -> Candidate | None:
    return max(found, key=lambda candidate: candidate.tpf, default=None)


def _side(side: str, candidate: Candidate | None) -> dict[str, Any]:
    difference = UNKNOWN if candidate is None else candidate.difference
    return {
        side: "" if candidate is None else candidate.name,
        f"{side}_tpf": NAN if candidate is None else candidate.tpf,
        **difference.columns(f"{side}_difference"),
    }


def _why(ours: Candidate | None, other: Candidate, quickest: Candidate) -> str:
    """Why a cell is lost: accuracy rules the faster PSD out, or none of them is as fast."""
    rival = f"{other.name} (TPF {other.tpf:.2f})"
    if quickest.tpf > other.tpf:
        return TOO_INACCURATE.format(
            name=quickest.name,
            rival=rival,
            tpf=quickest.tpf,
            difference=quickest.difference.points,
        )
    aside = "" if ours is quickest else ", accuracy aside"
    return TOO_SLOW.format(rival=rival, aside=aside, name=quickest.name, tpf=quickest.tpf)


def _line(row) -> dict[str, str]:
    ratio = Estimate.of(row, "ratio").format(digits=2)
    return {
        "model": row.model,
        "task": row.task,
        "PSD": row.ours or "none",
        "its TPF": f"{row.ours_tpf:.2f}" if row.ours else "-",
        "its accuracy minus greedy's, points": _points(row, "ours") if row.ours else "-",
        "other": row.other,
        "other's TPF": f"{row.other_tpf:.2f}",
        "other's accuracy minus greedy's, points": _points(row, "other"),
        "TPF ratio": ratio if row.ours else "-",
        "won": "yes" if row.won else "no",
    }


def _points(row, side: str) -> str:
    difference = Estimate.of(row, f"{side}_difference")
    alike = (difference.value, difference.low, difference.high) == (0, 0, 0)
    return "0 (greedy itself)" if alike else difference.points
