"""Precision@K of the confidence ranking as a table."""

from __future__ import annotations

import pandas as pd

from psd_lab.report.stats import Estimate
from psd_lab.report.table import Table

CAPTION = (
    "{title} Precision@K: of the K positions ranked first, the share that greedy commits in its"
    " next K steps. Brackets: 95 % bootstrap over answers."
)


def precision(ranking: pd.DataFrame, id: str, title: str) -> Table:
    """One line per model and K, one column per age of the ranking.

    Args:
        ranking: what `confidence.precision_at_k` returns.
    """
    shares = (
        Estimate.of(row, "precision", "low", "high", n="states") for row in ranking.itertuples()
    )
    cells = ranking.assign(text=[share.format(100) for share in shares])
    wide = (
        cells.pivot(index=["model", "k"], columns="lag", values="text")
        .fillna("-")
        .loc[list(ranking.model.unique())]
    )
    wide.columns = [
        "fresh, %" if lag == 0 else f"{lag} step{'s' if lag > 1 else ''} old, %"
        for lag in wide.columns
    ]
    chance = ranking[ranking.lag == 0].set_index(["model", "k"])
    shown = wide.assign(
        **{"random, %": (100 * chance.chance).map("{:.1f}".format), "states (fresh)": chance.states}
    )
    caption = CAPTION.format(title=title)
    return Table(id, caption, ranking, shown.reset_index().rename(columns={"k": "K"}))
