"""Decides what a notebook says about its numbers. Every sentence is computed, so it is true whatever the rows hold.

Each function takes what its notebook shows and returns a `Reading`: what we see, how sure we are, and with how many items.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from psd_lib.report import claims, confidence, stats, steps
from psd_lib.report import rows as rows_of
from psd_lib.report.figures.tradeoff import points
from psd_lib.report.stats import Estimate
from psd_lib.report.table import Table

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
    """What the recorded scores say: calibration, how fast the ranking ages, how fast tokens change."""
    mean = (bins.confidence * bins.n).sum() / bins.n.sum()
    agreement = (bins.agreement * bins.n).sum() / bins.n.sum()
    lean = "too low" if agreement > mean else "too high" if agreement < mean else "right"
    found = [f"On average confidence is {lean} as a forecast of the token that is committed in the end: it says {mean:.0%}, and "
             f"{agreement:.0%} of {int(bins.n.sum())} proposals are kept (expected calibration error {confidence.calibration_error(bins):.3f})."]
    top = bins.iloc[-1]
    share = Estimate(top.agreement, top.agreement_low, top.agreement_high, int(top.n))
    found.append(f"Proposals with a confidence from {top.low:.1f} to {top.high:.1f} are kept in {share.format(100)} % of {share.n} cases.")
    k = 3 if (ranking.k == 3).any() else int(ranking.k.max())
    for row in ranking[ranking.k == k].itertuples():
        age = "fresh" if row.lag == 0 else f"{row.lag}-step-old"
        seen = Estimate(row.precision, row.low, row.high, row.states)
        found.append(f"Precision@{k} of the {age} ranking: {seen.format(100)} %, against {row.chance:.0%} for a random one ({row.states} states).")
    first, last = kept.iloc[0], kept.iloc[-1]
    found.append(f"The argmax of a masked position is the same {int(first.lag)} step{'s' if first.lag > 1 else ''} later in {first.kept:.0%} of cases and {int(last.lag)} steps "
                 f"later in {last.kept:.0%}.")
    return Reading(tuple(found))


def spatial(frame: pd.DataFrame) -> Reading:
    """How fast each task can go before accuracy falls by more than `NEAR`."""
    data = points(frame)
    found = []
    for task, part in data.groupby("task", sort=False):
        greedy = part[part.family == "greedy"].iloc[0]
        others = part[part.family != "greedy"]
        kept = others[others.vs_greedy >= -NEAR]
        near = f"within {100 * NEAR:.0f} points of greedy's ({greedy.accuracy:.0%})"
        if kept.empty:
            found.append(f"{task}: no parallel setting has an accuracy {near} on these items.")
        else:
            best = kept.sort_values("tpf").iloc[-1]
            found.append(f"{task}: the fastest setting with an accuracy {near} on these items is {best.decoder} with TPF {best.tpf:.2f} and "
                         f"a difference of {_points(best)} points.")
        worst = others.sort_values("vs_greedy").iloc[0]
        found.append(f"{task}: the lowest accuracy against greedy's is that of {worst.decoder} (TPF {worst.tpf:.2f}): {_points(worst)} points.")
    return Reading((*found, _resolution(data)))


def temporal(frame: pd.DataFrame) -> Reading:
    """Whether drafts changed an output, what they save, and where acceptance ends."""
    found = [_exactness(frame, True), _exactness(frame, False)]
    exact = frame[(frame.depth > 0) & (frame.acceptor == "replay")]
    for setting in exact.setting.unique():
        part = frame[frame.setting == setting]
        gain = _gain(part, rows_of.own_policy(frame, setting))
        found.append(f"{part.label.iloc[0]} decodes {gain.format(digits=2)} times greedy's tokens per forward, all tasks together.")
    deepest = exact[exact.depth == exact.depth.max()]
    survival = steps.acceptance(deepest)
    for depth in sorted({1, 3, int(exact.depth.max())} & set(survival.depth)):
        at = survival[survival.depth == depth]
        found.append(f"Of the calls that were offered {depth} draft{'s' if depth > 1 else ''} or more, "
                     + ", ".join(f"{row.survival:.0%} ({row.task})" for row in at.itertuples()) + f" accept at least {depth}.")
    return Reading(tuple(s for s in found if s))


def combined(frame: pd.DataFrame) -> Reading:
    """What stacking both axes gives over either alone, and whether depth pays."""
    found = [_exactness(frame, True), _exactness(frame, False)]
    for family in ("PSD (confidence)", "PSD (LocalLeap)"):
        for depth in (3, 7):
            part = frame[(frame.family == family) & (frame.depth == depth)]
            chain = frame[(frame.family == "Spiffy chain") & (frame.depth == depth)]
            if part.empty or chain.empty:
                continue
            policy = rows_of.own_policy(frame, part.setting.iloc[0])
            found.append(f"{part.label.iloc[0]}: TPF {_gain(part, policy).format(digits=2)} times its policy's and "
                         f"{_gain(part, chain).format(digits=2)} times that of the greedy chain at the same depth, all tasks together.")
    data = points(frame)
    for task, part in data[data.exact].groupby("task", sort=False):
        best = part.sort_values("tpf").iloc[-1]
        found.append(f"{task}: the fastest exact decoder is {best.decoder} with TPF {best.tpf:.2f} and {_points(best)} points to greedy.")
    return Reading((*(s for s in found if s), _resolution(data)))


def verdicts(table: Table) -> Reading:
    """How many claims hold, and which do not."""
    counts = table.shown.verdict.value_counts()
    order = [v for v in (claims.REPRODUCED, claims.PARTIALLY, claims.NOT_REPRODUCED, claims.NOT_TESTED) if v in counts]
    found = [f"Of {len(table.shown)} claims: " + ", ".join(f"{counts[v]} {v}" for v in order) + "."]
    found += [f"Not reproduced: {row.claim}" for row in table.shown[table.shown.verdict == claims.NOT_REPRODUCED].itertuples()]
    items = table.data[(table.data.n > 0) & (table.data.task != "")].n.min()
    found.append(f"The smallest sample behind a verdict has n = {int(items)}; `partially` often means that n is too small for the interval the rule asks for.")
    return Reading(tuple(found))


def _exactness(frame: pd.DataFrame, exact: bool) -> str:
    """One sentence on same outputs, over all drafting decoders that are (not) provably exact; empty if there is none."""
    same = total = 0
    chosen = frame[(frame.depth > 0) & (frame.exact == exact)]
    for setting in chosen.setting.unique():
        base = rows_of.own_policy(frame, setting)
        if base is not None:
            both = rows_of.common(frame[frame.setting == setting], base)
            counted = stats.same_count(both.token_ids_hash_ours, both.token_ids_hash_base)
            same, total = same + counted[0], total + counted[1]
    if total == 0:
        return ""
    kind = "Exact rules" if exact else "Approximate rules"
    return f"{kind}: {same} of {total} decodes give, token for token, the output of the same policy without drafts."


def _gain(ours: pd.DataFrame, base: pd.DataFrame) -> Estimate:
    both = rows_of.common(ours, base)
    return stats.ratio_of_ratios((both.tokens_ours, both.nfe_ours), (both.tokens_base, both.nfe_base))


def _points(row) -> str:
    return Estimate(row.vs_greedy, row.vs_greedy_low, row.vs_greedy_high, int(row.n)).format(100, 1, sign=True)


def _resolution(data: pd.DataFrame) -> str:
    """How small a difference these items can show at all."""
    half = ((data.vs_greedy_high - data.vs_greedy_low) / 2).median()
    return (f"With n = {int(data.n.min())} items per task the interval of an accuracy difference is about ±{100 * half:.0f} points wide (median): smaller "
            "differences cannot be told from none here.")
