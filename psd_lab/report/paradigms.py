"""Decides how kinds of models are compared: what drafting and parallel decoding are worth on each,
all tasks together.

The models differ in what a position sees (everything, or its own block and what is before it), in
where its prediction is read, and in what they were trained from; their cards say it. Here is what
that does to decoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from psd_lab.report import rows as rows_of
from psd_lab.report import stats, steps
from psd_lab.report.stats import Estimate
from psd_lab.report.table import Table

NEAR = 0.01  # accuracy lost to greedy that counts as none, as in the papers' "within 1 point"
DEPTH = 3


def kinds(models: Iterable, id: str, title: str) -> Table:
    """What loaded models (`psd_lib.models.Model`) are: size, what a position sees, where its
    prediction is read.
    """
    data = pd.DataFrame(
        [
            {
                "model": model.name,
                "family": model.family.name,
                "parameters": sum(p.numel() for p in model.denoiser.network.parameters()),
                "sees_future": model.family.sees_future,
                "shift": model.family.shift,
                "block_length": model.block_length,
                "positions": model.max_positions,
            }
            for model in models
        ]
    )
    shown = pd.DataFrame(
        [
            {
                "model": r.model,
                "family": r.family,
                "parameters": f"{r.parameters / 1e6:.1f} M",
                "a position sees": _sight(r.sees_future, r.block_length),
                "its prediction is read": "one position earlier" if r.shift else "at the position",
                "block length": r.block_length,
                "longest text": f"{r.positions} tokens",
            }
            for r in data.itertuples()
        ]
    )
    return Table(id, title, data, shown)


def tradeoff(frame: pd.DataFrame) -> pd.DataFrame:
    """Per model and decoder, over all tasks: TPF, and the paired accuracy difference to greedy on
    the same answers.

    Returns:
        columns model, decoder, family, point, depth, exact, n, tpf, tpf_low, tpf_high, difference,
        difference_low, difference_high (of 1); models without greedy are left out.
    """
    records = []
    for model, part in rows_of.by_model(frame):
        for setting in part.setting.unique():
            ours, base = rows_of.parts(part)[setting], rows_of.greedy(part, setting)
            if base is None:
                continue
            both = rows_of.common(ours, base, scored=True)
            lost = stats.accuracy_difference(
                both.correct_ours.astype(float), both.correct_base.astype(float)
            )
            speed, one = stats.ratio(ours.tokens, ours.nfe), ours.iloc[0]
            records.append(
                {
                    "model": model,
                    "decoder": one.label,
                    "family": one.family,
                    "point": one.point,
                    "depth": int(one.depth),
                    "exact": bool(one.exact),
                    "n": lost.n,
                    "tpf": speed.value,
                    "tpf_low": speed.low,
                    "tpf_high": speed.high,
                    "difference": lost.value,
                    "difference_low": lost.low,
                    "difference_high": lost.high,
                }
            )
    return pd.DataFrame(records)


def survival(frame: pd.DataFrame) -> pd.DataFrame:
    """Acceptance by depth of the deepest greedy chain, per model over all tasks (columns of
    `steps.acceptance`).
    """
    chain = frame[frame.family == "Spiffy chain"]
    return steps.acceptance(chain[chain.depth == chain.depth.max()].assign(task="all tasks"))


def table(frame: pd.DataFrame, id: str, title: str) -> Table:
    """One line per question, one column per model."""
    data = pd.DataFrame(
        [
            {
                "model": model,
                "question": question,
                "answer": text,
                "value": e.value,
                "low": e.low,
                "high": e.high,
                "n": e.n,
            }
            for model, part in rows_of.by_model(frame)
            for question, text, e in _answers(part)
        ]
    )
    shown = data.pivot(index="question", columns="model", values="answer").fillna("-")
    shown = (
        shown.loc[data.question.unique(), data.model.unique()]
        .rename_axis(columns=None)
        .reset_index()
    )
    caption = (
        f"{title} All tasks together. Accuracy differences are paired with greedy on the same"
        " answers. Brackets: 95 % intervals (Wilson for accuracy, Bonett-Price for differences,"
        " bootstrap over answers for ratios); n differs by line and stands in the data."
    )
    return Table(id, caption, data, shown)


def fastest(data: pd.DataFrame) -> pd.Series | None:
    """Of one model's rows of `tradeoff`, the exact decoder with the highest TPF that lies within
    `NEAR` of greedy.
    """
    near = data[data.exact & (data.difference >= -NEAR)]
    return None if near.empty else near.loc[near.tpf.idxmax()]


def _sight(sees_future: bool, block_length: int) -> str:
    if sees_future:
        return "everything, also what lies ahead"
    return "what lies before it" if block_length == 1 else "its own block and what lies before it"


def _answers(part: pd.DataFrame) -> Iterator[tuple[str, str, Estimate]]:
    """(question, answer as text, estimate) for one model; what was not run is left out."""
    greedy = part[part.greedy & part.correct.notna()]
    if greedy.empty:
        return
    right = stats.wilson(int(greedy.correct.sum()), len(greedy))
    speed = stats.ratio(greedy.tokens, greedy.nfe)
    yield "greedy: accuracy, %", right.format(100), right
    yield "greedy: TPF", speed.format(digits=2), speed
    drafts = survival(part)
    for row in drafts[drafts.depth.isin((1, DEPTH))].itertuples():
        share = Estimate(row.survival, row.low, row.high, row.n)
        yield (
            (
                f"greedy's next step{'s' if row.depth > 1 else ''} foreseen, {row.depth} deep, % of"
                " calls"
            ),
            share.format(100),
            share,
        )
    for family, name in (
        ("Spiffy chain", "greedy"),
        ("PSD (confidence)", "confidence"),
        ("PSD (LocalLeap)", "LocalLeap"),
    ):
        setting = rows_of.find(part, family=family, depth=DEPTH)
        base = None if setting is None else rows_of.own_policy(part, setting)
        if base is not None:
            both = rows_of.common(rows_of.parts(part)[setting], base)
            gain = stats.ratio_of_ratios(
                (both.tokens_ours, both.nfe_ours), (both.tokens_base, both.nfe_base)
            )
            yield (
                f"drafts on {name}, d = {DEPTH}: TPF over {name} alone",
                gain.format(digits=2),
                gain,
            )
    data = tradeoff(part)
    for row in data[
        data.family.isin(("confidence", "LocalLeap")) & data.point.isin(("0.9",))
    ].itertuples():
        lost = Estimate(row.difference, row.difference_low, row.difference_high, row.n)
        yield (
            f"{row.decoder}: TPF",
            f"{row.tpf:.2f}",
            Estimate(row.tpf, row.tpf_low, row.tpf_high, row.n),
        )
        yield (
            f"{row.decoder}: accuracy minus greedy's, points",
            lost.format(100, 1, sign=True),
            lost,
        )
    best = fastest(data)
    if best is not None:
        lost = Estimate(best.difference, best.difference_low, best.difference_high, int(best.n))
        question = f"fastest exact decoder within {100 * NEAR:.0f} point of greedy's accuracy"
        yield (
            question,
            f"{best.decoder}: TPF {best.tpf:.2f}, {lost.format(100, 1, sign=True)} points",
            Estimate(best.tpf, best.tpf_low, best.tpf_high, int(best.n)),
        )
