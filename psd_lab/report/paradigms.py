"""Kinds of models compared: what drafting and parallel decoding are worth on each, all tasks
together.

The models differ in what a position sees (everything, or its own block and what is before it), in
where its prediction is read, and in what they were trained from; their cards say it. Here is what
that does to decoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from psd_lab.report import naming, stats, steps
from psd_lab.report.identity import GREEDY, Family
from psd_lab.report.results import Results
from psd_lab.report.selector import family, select
from psd_lab.report.stats import Estimate
from psd_lab.report.table import Table

NEAR = 0.01  # accuracy lost to greedy that counts as none, as in the papers' "within 1 point"
DEPTH = 3
CHAIN = family(decoder="spiffy")
DRAFTED = (
    select(decoder="spiffy", depth=DEPTH),
    select(decoder="psd", policy="confidence", threshold=0.9, depth=DEPTH),
    select(decoder="psd", policy="local_leap", threshold=0.9, depth=DEPTH),
)
ALONE = (
    select(decoder="confidence", threshold=0.9),
    select(decoder="local_leap", threshold=0.9),
)
CAPTION = (
    "{title} All tasks together. Accuracy differences are paired with greedy on the same answers."
    " Brackets: 95 % intervals (Wilson for accuracy, Bonett-Price for differences, bootstrap over"
    " answers for ratios); n differs by line and stands in the data."
)

Answer = tuple[str, str, Estimate]  # question, answer as text, estimate


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


def tradeoff(results: Results) -> pd.DataFrame:
    """Per model and decoder, over all tasks: TPF, and the paired accuracy difference to greedy on
    the same answers.

    Returns:
        columns model, decoder, family, point, depth, exact, n, tpf, tpf_low, tpf_high, difference,
        difference_low, difference_high (of 1), setting; models without greedy are left out.
    """
    records = []
    for model, part in results.by_model.items():
        for decoder, ours in part.parts.items():
            base = part.greedy(decoder)
            if base is None:
                continue
            lost, one = part.pair(decoder, base).accuracy_difference, ours.iloc[0]
            records.append(
                {
                    "model": model,
                    "decoder": one.label,
                    "family": one.family,
                    "point": one.point,
                    "depth": int(one.depth),
                    "exact": bool(one.exact),
                    "n": lost.n,
                    **stats.ratio(ours.tokens, ours.nfe).columns("tpf"),
                    **lost.columns("difference"),
                    "setting": decoder,
                }
            )
    return pd.DataFrame(records)


def survival(results: Results) -> pd.DataFrame:
    """Acceptance by depth of the deepest greedy chain, per model over all tasks (columns of
    `steps.acceptance`).
    """
    chain = results.frame[results.frame.family == CHAIN]
    deepest = chain[chain.depth == chain.depth.max()]
    return steps.acceptance(Results(deepest.assign(task="all tasks")))


def table(results: Results, id: str, title: str) -> Table:
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
            for model, part in results.by_model.items()
            for question, text, e in _answers(part)
        ]
    )
    shown = data.pivot(index="question", columns="model", values="answer").fillna("-")
    shown = (
        shown.loc[data.question.unique(), data.model.unique()]
        .rename_axis(columns=None)
        .reset_index()
    )
    return Table(id, CAPTION.format(title=title), data, shown)


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


def _answers(part: Results) -> Iterator[Answer]:
    """What is answered for one model; what was not run is left out."""
    greedy = part.frame[part.frame.greedy & part.frame.correct.notna()]
    if greedy.empty:
        return
    right = stats.wilson(int(greedy.correct.sum()), len(greedy))
    speed = stats.ratio(greedy.tokens, greedy.nfe)
    yield "greedy: accuracy, %", right.format(100), right
    yield "greedy: TPF", speed.format(digits=2), speed
    yield from _on_drafts(part)
    data = tradeoff(part)
    yield from _on_policies(data)
    best = fastest(data)
    if best is not None:
        lost = Estimate.of(best, "difference")
        yield (
            f"fastest exact decoder within {100 * NEAR:.0f} point of greedy's accuracy",
            f"{best.decoder}: TPF {best.tpf:.2f}, {lost.points} points",
            Estimate.of(best, "tpf"),
        )


def _on_drafts(part: Results) -> Iterator[Answer]:
    drafts = survival(part)
    for row in drafts[drafts.depth.isin((1, DEPTH))].itertuples():
        share = Estimate.of(row, "survival", "low", "high")
        steps_ahead = f"step{'s' if row.depth > 1 else ''} foreseen, {row.depth} deep"
        yield f"greedy's next {steps_ahead}, % of calls", share.format(100), share
    for wanted in DRAFTED:
        decoder = part.find(wanted)
        pair = None if decoder is None else part.against_policy(decoder)
        if pair is not None:
            name, gain = naming.policy_title(wanted.family.policy), pair.tpf_ratio
            question = f"drafts on {name}, d = {DEPTH}: TPF over {name} alone"
            yield question, gain.format(digits=2), gain


def _on_policies(data: pd.DataFrame) -> Iterator[Answer]:
    for row in data[[any(w.matches(d) for w in ALONE) for d in data.setting]].itertuples():
        lost = Estimate.of(row, "difference")
        yield f"{row.decoder}: TPF", f"{row.tpf:.2f}", Estimate.of(row, "tpf")
        yield f"{row.decoder}: accuracy minus greedy's, points", lost.points, lost


def is_alone(data: pd.DataFrame) -> pd.Series:
    """Which rows of `tradeoff` are greedy or the confidence threshold, without drafts."""
    return data.family.isin((Family(GREEDY), Family("confidence")))
