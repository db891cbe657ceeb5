"""Decides which decoder is the fastest at greedy's accuracy: PSD with our builders, or another
method.

*Ours* is decoder `psd` with drafts of `BUILDERS` and an exact rule of acceptance. *Others* is
everything else that was run and needs no second trained model: policies alone, branching decoders,
other methods with drafts, and PSD with approximate acceptance too.
"""

from __future__ import annotations

import pandas as pd

from psd_lab.report import rows as rows_of
from psd_lab.report import stats
from psd_lab.report.stats import Estimate
from psd_lab.report.table import Table

BUILDERS = ("chain", "order_swap", "calibrated")
MARGIN = 0.01
EQUIVALENT = 0.02
SAME = Estimate(0.0, 0.0, 0.0, 0)  # greedy against itself


def cells(
    frame: pd.DataFrame, margin: float = MARGIN, equivalent: float = EQUIVALENT
) -> pd.DataFrame:
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
    for (model, task), part in frame.groupby(["model", "task"], sort=False):
        found = _candidates(part, margin, equivalent)
        if any(candidate["ours"] for candidate in found):
            records.append({"model": model, "task": task, **_cell(found)})
    return pd.DataFrame(records)


def table(frame: pd.DataFrame, id: str, title: str) -> Table:
    """The cells with what was won and what was lost."""
    data = cells(frame)
    shown = pd.DataFrame(
        [
            {
                "model": r.model,
                "task": r.task,
                "PSD": r.ours or "none",
                "its TPF": f"{r.ours_tpf:.2f}" if r.ours else "-",
                "its accuracy minus greedy's, points": _points(r, "ours") if r.ours else "-",
                "other": r.other,
                "other's TPF": f"{r.other_tpf:.2f}",
                "other's accuracy minus greedy's, points": _points(r, "other"),
                "TPF ratio": (
                    Estimate(r.ratio, r.ratio_low, r.ratio_high, int(r.n)).format(digits=2)
                    if r.ours
                    else "-"
                ),
                "won": "yes" if r.won else "no",
            }
            for r in data.itertuples()
        ]
    )
    won = int(data.won.sum()) if len(data) else 0
    published = cells(frame[frame.exact.astype(bool) | ~frame.decoder.isin(("psd", "spiffy"))])
    also = int(published.won.sum()) if len(published) else 0
    caption = (
        f"{title} PSD has the higher TPF in {won} of {len(data)} cells; in {also} where approximate"
        " acceptance in PSD and in its baseline Spiffy, which no paper publishes, is left out."
        f" Fastest decoder at greedy's accuracy: at most {100 * MARGIN:.0f} point below it on the"
        f" same items, or a paired 95 % interval within ±{100 * EQUIVALENT:.0f} points. PSD: drafts"
        f" of {', '.join(BUILDERS)}, accepted by an exact rule; other: every other decoder without"
        " a second trained model, approximate acceptance in PSD included. Brackets: 95 % paired"
        " intervals (Bonett-Price for accuracy, bootstrap over items for ratios). Both sides are"
        " picked after the fact, so small ratios mean little."
    )
    return Table(id, caption, data, shown)


def _candidates(part: pd.DataFrame, margin: float, equivalent: float) -> list[dict]:
    """All decoders of one cell with their speed, their difference to greedy, and on whose side they
    are.
    """
    found = []
    for _, rows in part[~part.trained].groupby("setting", sort=False):
        one, base = rows.iloc[0], rows_of.greedy(part, rows.setting.iloc[0])
        if base is None:
            continue
        difference = SAME
        if base.setting.iloc[0] != one.setting:
            both = rows_of.common(rows, base, scored=True)
            difference = stats.accuracy_difference(
                both.correct_ours.astype(float), both.correct_base.astype(float)
            )
        shown = difference.known and -equivalent <= difference.low and difference.high <= equivalent
        mine = (
            one["decode"]["decoder"] == "psd"
            and one.depth > 0
            and bool(one.exact)
            and one["decode"]["builder"]["name"] in BUILDERS
        )
        found.append(
            {
                "rows": rows,
                "name": one.label,
                "tpf": rows.tokens.sum() / rows.nfe.sum(),
                "difference": difference,
                "equal": round(difference.value, 9) >= -margin or shown,
                "ours": mine,
            }
        )
    return found


def _cell(candidates: list[dict]) -> dict:
    ours, other = (
        max(
            (c for c in candidates if c["equal"] and c["ours"] is side),
            key=lambda c: c["tpf"],
            default=None,
        )
        for side in (True, False)
    )
    quickest = max((c for c in candidates if c["ours"]), key=lambda c: c["tpf"])
    ratio = Estimate(float("nan"), float("nan"), float("nan"), len(other["rows"]))
    if ours is not None:
        both = rows_of.common(ours["rows"], other["rows"])
        ratio = stats.ratio_of_ratios(
            (both.tokens_ours, both.nfe_ours), (both.tokens_base, both.nfe_base)
        )
    return {
        "n": ratio.n,
        **_side("ours", ours),
        **_side("other", other),
        "ratio": ratio.value,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "won": ratio.value > 1,
        "why": "" if ratio.value > 1 else _why(ours, other, quickest),
    }


def _side(name: str, found: dict | None) -> dict:
    if found is None:
        return {
            name: "",
            **dict.fromkeys(
                (
                    f"{name}_tpf",
                    f"{name}_difference",
                    f"{name}_difference_low",
                    f"{name}_difference_high",
                ),
                float("nan"),
            ),
        }
    e = found["difference"]
    return {
        name: found["name"],
        f"{name}_tpf": found["tpf"],
        f"{name}_difference": e.value,
        f"{name}_difference_low": e.low,
        f"{name}_difference_high": e.high,
    }


def _why(ours: dict | None, other: dict, quickest: dict) -> str:
    """Why a cell is lost: accuracy rules the faster PSD out, or none of them is as fast."""
    rival = f"{other['name']} (TPF {other['tpf']:.2f})"
    if quickest["tpf"] > other["tpf"]:
        return (
            f"{quickest['name']} would be faster than {rival}, with TPF {quickest['tpf']:.2f}, but"
            " its accuracy differs from greedy's by"
            f" {quickest['difference'].format(100, 1, sign=True)} points: its policy loses that"
            " much"
        )
    kept = "" if ours is quickest else ", accuracy aside"
    return (
        f"{rival} takes at least as many tokens a call as any PSD decoder{kept}: the fastest,"
        f" {quickest['name']}, has TPF {quickest['tpf']:.2f}"
    )


def _points(row, name: str) -> str:
    e = Estimate(
        *(getattr(row, f"{name}_difference{part}") for part in ("", "_low", "_high")), int(row.n)
    )
    return (
        "0 (greedy itself)"
        if (e.value, e.low, e.high) == (0, 0, 0)
        else e.format(100, 1, sign=True)
    )
