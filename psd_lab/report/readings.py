"""Decides what a notebook says about its numbers. Every sentence is computed, so it is true
whatever the rows hold.

Each function takes what its notebook shows and returns a `Reading`: what we see, how sure we are,
and with how many items.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from psd_lab.report import best, claims, confidence, paradigms, stats, steps
from psd_lab.report import rows as rows_of
from psd_lab.report.figures.tradeoff import points
from psd_lab.report.stats import Estimate
from psd_lab.report.table import Table

NEAR = 0.02  # what "keeps accuracy" means in the sentences on parallel policies


@dataclass(frozen=True)
class Reading:
    """Sentences as a Markdown list."""

    sentences: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(f"* {sentence}" for sentence in self.sentences)

    def _repr_markdown_(self) -> str:
        return repr(self)


def scoring(bins: pd.DataFrame, ranking: pd.DataFrame, kept: pd.DataFrame) -> Reading:
    """What the recorded scores say of each model: calibration, how fast the ranking ages, how fast
    tokens change.
    """
    found = []
    for model, mine in bins.groupby("model", sort=False):
        mean, agreement = (
            (mine[name] * mine.n).sum() / mine.n.sum() for name in ("confidence", "agreement")
        )
        lean = "too low" if agreement > mean else "too high" if agreement < mean else "right"
        top = mine.iloc[-1]
        share = Estimate(top.agreement, top.agreement_low, top.agreement_high, int(top.n))
        found.append(
            f"{model}: on average confidence is {lean} as a forecast of the token that is committed"
            f" in the end: it says {mean:.0%}, and {agreement:.0%} of {int(mine.n.sum())} proposals"
            f" are kept (expected calibration error {confidence.calibration_error(mine):.3f}); of"
            f" those with {top.low:.1f} to {top.high:.1f}, {share.format(100)} % of {share.n}."
        )
        states = ranking[ranking.model == model]
        k = 3 if (states.k == 3).any() else int(states.k.max())
        ages = [
            f"{'fresh' if row.lag == 0 else f'{row.lag}-step-old'}"
            f" {Estimate(row.precision, row.low, row.high, row.states).format(100)} %"
            for row in states[states.k == k].itertuples()
        ]
        chance, n = states[states.k == k].iloc[0][["chance", "states"]]
        found.append(
            f"{model}: Precision@{k} of the ranking: {', '.join(ages)}, against {chance:.0%} for a"
            f" random one ({n:.0f} fresh states)."
        )
        ageing = kept[kept.model == model]
        first, last = ageing.iloc[0], ageing.iloc[-1]
        found.append(
            f"{model}: the argmax of a masked position is the same {int(first.lag)}"
            f" step{'s' if first.lag > 1 else ''} later in {first.kept:.0%} of cases and"
            f" {int(last.lag)} steps later in {last.kept:.0%}."
        )
    return Reading(tuple(found))


def spatial(frame: pd.DataFrame) -> Reading:
    """How fast each model and task can go before accuracy falls by more than `NEAR`, and which
    setting loses most.
    """
    data = points(frame)
    found = []
    for model, mine in data.groupby("model", sort=False):
        told, lost = [], []
        for task, part in mine.groupby("task", sort=False):
            greedy, others = part[part.family == "greedy"].iloc[0], part[part.family != "greedy"]
            kept = others[others.vs_greedy >= -NEAR]
            best = None if kept.empty else kept.loc[kept.tpf.idxmax()]
            told.append(
                f"{task} (greedy {greedy.accuracy:.0%}) "
                + (
                    "none"
                    if best is None
                    else f"{best.decoder} with TPF {best.tpf:.2f}, {_points(best)} points"
                )
            )
            worst = others.loc[others.vs_greedy.idxmin()]
            lost.append(f"{task} {worst.decoder} (TPF {worst.tpf:.2f}), {_points(worst)} points")
        found.append(
            f"{model}: the fastest setting with an accuracy within {100 * NEAR:.0f} points of"
            f" greedy's on these items: {'; '.join(told)}."
        )
        found.append(f"{model}: the lowest accuracy against greedy's: {'; '.join(lost)}.")
    return Reading((*found, _resolution(data)))


def temporal(frame: pd.DataFrame) -> Reading:
    """Whether drafts changed an output, what they save, and where acceptance ends."""
    found = [_exactness(frame, True), _exactness(frame, False)]
    for model, mine in rows_of.by_model(frame):
        exact = mine[(mine.depth > 0) & (mine.acceptor == "replay")]
        gains = [
            f"{part.label.iloc[0]}"
            f" {_gain(part, rows_of.own_policy(mine, setting)).format(digits=2)}"
            for setting, part in exact.groupby("setting", sort=False)
        ]
        found.append(
            f"{model}: tokens per forward over greedy's, all tasks together: {', '.join(gains)}."
        )
        survival = steps.acceptance(exact[exact.depth == exact.depth.max()])
        shares = []
        for depth in sorted({1, 3, int(exact.depth.max())} & set(survival.depth)):
            at = survival[survival.depth == depth]
            shares.append(
                f"{depth} or more by "
                + ", ".join(f"{row.survival:.0%} ({row.task})" for row in at.itertuples())
            )
        found.append(
            f"{model}: of the calls that were offered so many drafts of greedy steps, they were"
            f" accepted, {'; '.join(shares)}."
        )
    return Reading(tuple(s for s in found if s))


def combined(frame: pd.DataFrame) -> Reading:
    """What stacking both axes gives over either alone on each model, and which exact decoder is the
    fastest.
    """
    found = [_exactness(frame, True), _exactness(frame, False)]
    data = points(frame)
    for model, mine in rows_of.by_model(frame):
        for family in ("PSD (confidence)", "PSD (LocalLeap)"):
            for depth in (3, 7):
                part = mine[(mine.family == family) & (mine.depth == depth)]
                chain = mine[(mine.family == "Spiffy chain") & (mine.depth == depth)]
                if part.empty or chain.empty:
                    continue
                policy = rows_of.own_policy(mine, part.setting.iloc[0])
                found.append(
                    f"{model}, {part.label.iloc[0]}: TPF {_gain(part, policy).format(digits=2)}"
                    f" times its policy's and {_gain(part, chain).format(digits=2)} times that of"
                    " the greedy chain at the same depth, all tasks together."
                )
        exact = data[data.exact & (data.model == model)]
        best = [part.loc[part.tpf.idxmax()] for _, part in exact.groupby("task", sort=False)]
        found.append(
            f"{model}: the fastest exact decoder: "
            + "; ".join(
                f"{row.task} {row.decoder} with TPF {row.tpf:.2f} and {_points(row)} points to"
                " greedy"
                for row in best
            )
            + "."
        )
    return Reading((*(s for s in found if s), _resolution(data)))


def comparison(frame: pd.DataFrame, everything: pd.DataFrame | None = None) -> Reading:
    """Whether drafts changed outputs, which decoder is the fastest at greedy's accuracy, and why
    PSD is not where it is not.

    Outputs are counted in `everything` (default: `frame`), which may have items that not all
    decoders have.
    """
    drafted = frame if everything is None else everything
    found = [_exactness(drafted, True), _exactness(drafted, False)]
    data = best.cells(frame)
    won, sure = int(data.won.sum()), int((data.ratio_low > 1).sum())
    found.append(
        f"At greedy's accuracy PSD has a higher TPF than every other training-free decoder on {won}"
        f" of {len(data)} cells; on {sure} of them the paired interval of the ratio lies above 1."
    )
    for row in data.itertuples():
        gain = Estimate(row.ratio, row.ratio_low, row.ratio_high, int(row.n)).format(digits=2)
        where = f"{row.model}, {row.task}"
        found.append(
            f"{where}: {row.ours}, {gain} times the TPF of {row.other}."
            if row.won
            else f"{where}: not won{f' (ratio {gain})' if row.ours else ''}: {row.why}."
        )
    calls = frame.groupby("label", sort=False).second_nfe.mean()
    told = ", ".join(f"{label} {mean:.1f}" for label, mean in calls[calls > 0].items())
    return Reading(
        tuple(
            s
            for s in (
                *found,
                (
                    f"Calls of a second trained model per answer, which TPF leaves out: {told}."
                    if told
                    else ""
                ),
                _resolution(points(frame)),
            )
            if s
        )
    )


def contrast(frame: pd.DataFrame) -> Reading:
    """Which model drafts and parallel steps suit best, and what equal accuracy costs on each."""
    drafts, data = paradigms.survival(frame), paradigms.tradeoff(frame)
    first = drafts[drafts.depth == 1].sort_values("survival", ascending=False)
    told = ", ".join(
        f"{row.model} {Estimate(row.survival, row.low, row.high, row.n).format(100)} %"
        for row in first.itertuples()
    )
    found = [f"Calls that accept the first draft of a greedy step, most first: {told}."]
    for model, mine in data.groupby("model", sort=False):
        best = paradigms.fastest(mine)
        found.append(
            f"{model}: the fastest exact decoder within {100 * paradigms.NEAR:.0f} point of"
            f" greedy's accuracy is {best.decoder}, with TPF {best.tpf:.2f} against greedy's"
            f" {mine[mine.family == 'greedy'].tpf.iloc[0]:.2f} (accuracy difference"
            f" {_difference(best)} points, n = {int(best.n)})."
        )
    return Reading(tuple(found))


def verdicts(table: Table) -> Reading:
    """How many claims hold, and which do not."""
    counts = table.shown.verdict.value_counts()
    order = [
        v
        for v in (claims.REPRODUCED, claims.PARTIALLY, claims.NOT_REPRODUCED, claims.NOT_TESTED)
        if v in counts
    ]
    found = [f"Of {len(table.shown)} claims: " + ", ".join(f"{counts[v]} {v}" for v in order) + "."]
    found += [
        f"Not reproduced: {row.claim}"
        for row in table.shown[table.shown.verdict == claims.NOT_REPRODUCED].itertuples()
    ]
    items = table.data[(table.data.n > 0) & (table.data.task != "")].n.min()
    found.append(
        f"The smallest sample behind a verdict has n = {int(items)}; `partially` often means that n"
        " is too small for the interval the rule asks for."
    )
    return Reading(tuple(found))


def _exactness(frame: pd.DataFrame, exact: bool) -> str:
    """One sentence on same outputs by model, over all drafting decoders that are (not) provably
    exact; empty if there is none.
    """
    counts = []
    for model, mine in rows_of.by_model(frame):
        same = total = 0
        for setting in mine[(mine.depth > 0) & (mine.exact == exact)].setting.unique():
            base = rows_of.own_policy(mine, setting)
            if base is not None:
                both = rows_of.common(rows_of.parts(mine)[setting], base)
                counted = stats.same_count(both.token_ids_hash_ours, both.token_ids_hash_base)
                same, total = same + counted[0], total + counted[1]
        counts += [f"{same} of {total} ({model})"] if total else []
    kind = "Exact rules" if exact else "Approximate rules"
    return (
        f"{kind}: {', '.join(counts)} decodes give, token for token, the output of the same policy"
        " without drafts."
        if counts
        else ""
    )


def _gain(ours: pd.DataFrame, base: pd.DataFrame) -> Estimate:
    both = rows_of.common(ours, base)
    return stats.ratio_of_ratios(
        (both.tokens_ours, both.nfe_ours), (both.tokens_base, both.nfe_base)
    )


def _points(row) -> str:
    return Estimate(row.vs_greedy, row.vs_greedy_low, row.vs_greedy_high, int(row.n)).format(
        100, 1, sign=True
    )


def _difference(row) -> str:
    return Estimate(row.difference, row.difference_low, row.difference_high, int(row.n)).format(
        100, 1, sign=True
    )


def _resolution(data: pd.DataFrame) -> str:
    """How small a difference these items can show at all."""
    half = ((data.vs_greedy_high - data.vs_greedy_low) / 2).median()
    return (
        f"With n = {int(data.n.min())} items per model and task the interval of an accuracy"
        f" difference is about ±{100 * half:.0f} points wide (median): smaller differences cannot"
        " be told from none here."
    )
