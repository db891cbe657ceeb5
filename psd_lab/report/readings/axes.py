"""What the parallel axis, the speculative axis and both together give."""

from __future__ import annotations

import pandas as pd

from psd_lab.report import steps
from psd_lab.report.figures.tradeoff import points
from psd_lab.report.identity import GREEDY, Family
from psd_lab.report.readings.reading import Reading, exactness, resolution
from psd_lab.report.results import Results
from psd_lab.report.selector import Selector, select
from psd_lab.report.stats import Estimate

NEAR = 0.02  # what "keeps accuracy" means in the sentences on parallel policies
STACKED = (
    select(decoder="psd", policy="confidence"),
    select(decoder="psd", policy="local_leap"),
)
CHAIN = select(decoder="spiffy")
DEPTHS = (3, 7)
FASTEST = (
    "{model}: the fastest setting with an accuracy within {near:.0f} points of greedy's on these"
    " items: {settings}."
)
LOWEST = "{model}: the lowest accuracy against greedy's: {settings}."
OVER_GREEDY = "{model}: tokens per forward over greedy's, all tasks together: {gains}."
SURVIVAL = (
    "{model}: of the calls that were offered so many drafts of greedy steps, they were accepted,"
    " {shares}."
)
BOTH_AXES = (
    "{model}, {label}: TPF {over_policy} times its policy's and {over_chain} times that of the"
    " greedy chain at the same depth, all tasks together."
)
FASTEST_EXACT = "{model}: the fastest exact decoder: {cells}."


def spatial(results: Results) -> Reading:
    """How fast each model and task can go before accuracy falls by more than `NEAR`, and which
    setting loses most.
    """
    data = points(results)
    found = []
    for model, cells in data.groupby("model", sort=False):
        by_task = list(cells.groupby("task", sort=False))
        fastest = "; ".join(_near_greedy(task, part) for task, part in by_task)
        lowest = "; ".join(_lowest(task, part) for task, part in by_task)
        found.append(FASTEST.format(model=model, near=100 * NEAR, settings=fastest))
        found.append(LOWEST.format(model=model, settings=lowest))
    return Reading.of(*found, resolution(data))


def temporal(results: Results) -> Reading:
    """Whether drafts changed an output, what they save, and where acceptance ends."""
    found = [exactness(results, True), exactness(results, False)]
    for model, part in results.by_model.items():
        exact = part.of(lambda decoder: decoder.depth > 0 and decoder.acceptor.name == "replay")
        pairs = {decoder: part.against_policy(decoder) for decoder in exact.parts}
        gains = ", ".join(
            f"{part.label(decoder)} {pair.tpf_ratio.format(digits=2)}"
            for decoder, pair in pairs.items()
            if pair is not None
        )
        found.append(OVER_GREEDY.format(model=model, gains=gains) if gains else "")
        found.append(_survival(model, exact))
    return Reading.of(*found)


def combined(results: Results) -> Reading:
    """What stacking both axes gives over either alone on each model, and which exact decoder is the
    fastest.
    """
    found = [exactness(results, True), exactness(results, False)]
    data = points(results)
    for model, part in results.by_model.items():
        found += [_both_axes(model, part, ours, d) for ours in STACKED for d in DEPTHS]
        exact = data[data.exact & (data.model == model)]
        fastest = [cell.loc[cell.tpf.idxmax()] for _, cell in exact.groupby("task", sort=False)]
        cells = "; ".join(
            f"{row.task} {row.decoder} with TPF {row.tpf:.2f} and"
            f" {Estimate.of(row, 'vs_greedy').points} points to greedy"
            for row in fastest
        )
        found.append(FASTEST_EXACT.format(model=model, cells=cells))
    return Reading.of(*found, resolution(data))


def _near_greedy(task: str, cells: pd.DataFrame) -> str:
    """The fastest setting of a task that keeps greedy's accuracy."""
    greedy = cells[cells.family == Family(GREEDY)].iloc[0]
    kept = cells[(cells.family != Family(GREEDY)) & (cells.vs_greedy >= -NEAR)]
    name = f"{task} (greedy {greedy.accuracy:.0%})"
    if kept.empty:
        return f"{name} none"
    row = kept.loc[kept.tpf.idxmax()]
    points_lost = Estimate.of(row, "vs_greedy").points
    return f"{name} {row.decoder} with TPF {row.tpf:.2f}, {points_lost} points"


def _lowest(task: str, cells: pd.DataFrame) -> str:
    others = cells[cells.family != Family(GREEDY)]
    row = others.loc[others.vs_greedy.idxmin()]
    lost = Estimate.of(row, "vs_greedy").points
    return f"{task} {row.decoder} (TPF {row.tpf:.2f}), {lost} points"


def _survival(model: str, exact: Results) -> str:
    """Where acceptance ends, for the deepest exact chain."""
    if not len(exact):
        return ""
    deepest = int(exact.frame.depth.max())
    survival = steps.acceptance(exact.where(exact.frame.depth == deepest))
    shares = []
    for depth in sorted({1, 3, deepest} & set(survival.depth)):
        rows = survival[survival.depth == depth].itertuples()
        by_task = ", ".join(f"{row.survival:.0%} ({row.task})" for row in rows)
        shares.append(f"{depth} or more by {by_task}")
    return SURVIVAL.format(model=model, shares="; ".join(shares))


def _both_axes(model: str, part: Results, ours: Selector, depth: int) -> str:
    """A decoder over its policy and over the greedy chain; empty where one was not run."""
    decoder, chain = (part.find(wanted.with_(depth=depth)) for wanted in (ours, CHAIN))
    pair = None if decoder is None else part.against_policy(decoder)
    if pair is None or chain is None:
        return ""
    return BOTH_AXES.format(
        model=model,
        label=part.label(decoder),
        over_policy=pair.tpf_ratio.format(digits=2),
        over_chain=part.pair(decoder, chain).tpf_ratio.format(digits=2),
    )
