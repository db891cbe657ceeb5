"""What recorded scores say of each model."""

from __future__ import annotations

import pandas as pd

from psd_lab.report import confidence
from psd_lab.report.readings.reading import Reading
from psd_lab.report.stats import Estimate

CALIBRATION = (
    "{model}: on average confidence is {lean} as a forecast of the token that is committed in the"
    " end: it says {mean:.0%}, and {agreement:.0%} of {n} proposals are kept (expected calibration"
    " error {error:.3f}); of those with {low:.1f} to {high:.1f}, {share} % of {top}."
)
RANKING = (
    "{model}: Precision@{k} of the ranking: {ages}, against {chance:.0%} for a random one"
    " ({states:.0f} fresh states)."
)
AGEING = (
    "{model}: the argmax of a masked position is the same {first} later in {kept:.0%} of cases and"
    " {last} steps later in {still:.0%}."
)


def scoring(bins: pd.DataFrame, ranking: pd.DataFrame, kept: pd.DataFrame) -> Reading:
    """What the recorded scores say of each model: calibration, how fast the ranking ages, how fast
    tokens change.
    """
    found = []
    for model, part in bins.groupby("model", sort=False):
        found.append(_calibration(model, part))
        found.append(_ranking(model, ranking[ranking.model == model]))
        ages = kept[kept.model == model]
        first, last = ages.iloc[0], ages.iloc[-1]
        lag = f"{int(first.lag)} step{'s' if first.lag > 1 else ''}"
        text = AGEING.format(
            model=model, first=lag, kept=first.kept, last=int(last.lag), still=last.kept
        )
        found.append(text)
    return Reading.of(*found)


def _calibration(model: str, bins: pd.DataFrame) -> str:
    mean, agreement = (
        (bins[name] * bins.n).sum() / bins.n.sum() for name in ("confidence", "agreement")
    )
    top = bins.iloc[-1]
    return CALIBRATION.format(
        model=model,
        lean="too low" if agreement > mean else "too high" if agreement < mean else "right",
        mean=mean,
        agreement=agreement,
        n=int(bins.n.sum()),
        error=confidence.calibration_error(bins),
        low=top.low,
        high=top.high,
        share=Estimate.of(top, "agreement").format(100),
        top=int(top.n),
    )


def _ranking(model: str, states: pd.DataFrame) -> str:
    k = 3 if (states.k == 3).any() else int(states.k.max())
    shown = states[states.k == k]
    ages = (
        f"{'fresh' if row.lag == 0 else f'{row.lag}-step-old'}"
        f" {Estimate.of(row, 'precision', 'low', 'high', n='states').format(100)} %"
        for row in shown.itertuples()
    )
    fresh = shown.iloc[0]
    return RANKING.format(
        model=model, k=k, ages=", ".join(ages), chance=fresh.chance, states=fresh.states
    )
