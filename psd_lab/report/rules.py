"""The rules that `data/claims.yaml` names: what one model's rows say of a claim, task by task.

A rule takes the results of one model and the claim's parameters. It returns nothing where rows that
it needs were not run.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, BeforeValidator

from psd_lab import tasks
from psd_lab.report import best, stats, steps
from psd_lab.report.evidence import Evidence
from psd_lab.report.pairs import Pair
from psd_lab.report.results import Results
from psd_lab.report.selector import Selector
from psd_lab.report.stats import NAN, Estimate
from psd_lib.errors import unknown

Chosen = Annotated[Selector, BeforeValidator(Selector.parse)]


def _known_task(name: str) -> str:
    if name not in tasks.names():
        raise unknown("task", name, tasks.names())
    return name


TaskName = Annotated[str, AfterValidator(_known_task)]


def keeps(results: Results, ours: Chosen, base: Chosen, margin: float) -> list[Evidence]:
    """The paired accuracy difference lies above minus the margin; partially when its interval
    reaches below that.
    """
    found = []
    for task, pair in _pairs(results, ours, base, scored=True).items():
        e = pair.accuracy_difference
        enough, maybe = e.known and e.low >= -margin, e.value >= -margin
        found.append(Evidence.of(task, e, enough, maybe, _points(e)))
    return found


def better(results: Results, ours: Chosen, base: Chosen) -> list[Evidence]:
    """The paired accuracy difference lies above 0; partially when the interval contains 0 and the
    difference is >= 0.
    """
    found = []
    for task, pair in _pairs(results, ours, base, scored=True).items():
        e = pair.accuracy_difference
        found.append(Evidence.of(task, e, e.known and e.low > 0, e.value >= 0, _points(e)))
    return found


def faster(results: Results, ours: Chosen, base: Chosen, paper: float) -> list[Evidence]:
    """The TPF ratio's interval reaches the paper's lower bound and lies above 1; partially when
    only above 1.

    Where the paper only claims "higher" (bound 1), partially means that the ratio, but not its
    interval, is above 1.
    """
    found = []
    for task, pair in _pairs(results, ours, base).items():
        e = pair.tpf_ratio
        above = e.known and e.low > 1
        partially = above if paper > 1 else e.value > 1
        text = f"{e.format(digits=2)}x"
        found.append(Evidence.of(task, e, above and e.high >= paper, partially, text))
    return found


def saturates(results: Results, ours: Chosen, depths: list[int], share: float) -> list[Evidence]:
    """What the last depths add, relative to what the first added, lies below the share."""
    return [
        Evidence.of(task, e, e.known and e.high < share, e.value < share, e.format(digits=2))
        for task, e in _later_gain(results, ours, depths).items()
    ]


def keeps_growing(
    results: Results, ours: Chosen, depths: list[int], share: float
) -> list[Evidence]:
    """What the last depths add, relative to what the first added, lies above the share."""
    return [
        Evidence.of(task, e, e.known and e.low > share, e.value > share, e.format(digits=2))
        for task, e in _later_gain(results, ours, depths).items()
    ]


def same_output(results: Results, ours: Chosen) -> list[Evidence]:
    """Every item's tokens equal those of the same policy without drafts; there is no partially."""
    decoder = results.find(ours)
    pair = None if decoder is None else results.against_policy(decoder)
    if pair is None:
        return []
    found = []
    for task, part in pair.by_task().items():
        same, n = part.same
        text = f"{same}/{n} equal"
        found.append(Evidence.of(task, stats.wilson(same, n), same == n, False, text))
    return found


def loses_more(results: Results, ours: Chosen, base: Chosen, reference: TaskName) -> list[Evidence]:
    """More accuracy is lost to the base than on the reference task, with separate intervals."""
    losses = {
        task: pair.accuracy_difference
        for task, pair in _pairs(results, base, ours, scored=True).items()
    }
    anchor = losses.pop(reference, None)
    if anchor is None:
        return []
    return [
        Evidence.of(
            task,
            e,
            e.known and anchor.known and e.low > anchor.high,
            e.value > anchor.value,
            f"loses {_points(e)} against {_points(anchor)} on {reference}",
        )
        for task, e in losses.items()
    ]


def first_draft(results: Results, ours: Chosen, above: float) -> list[Evidence]:
    """The share of calls that accept the first draft, at the greatest depth, is above the bound."""
    chosen = results.matching(ours)
    if not chosen:
        return []
    depth = max(decoder.depth for decoder in chosen)
    deepest = results.of(lambda decoder: decoder in chosen and decoder.depth == depth)
    found = []
    for row in steps.acceptance(deepest).query("depth == 1").itertuples():
        e = Estimate.of(row, "survival", "low", "high")
        text = f"{e.format(100)} % of calls"
        found.append(Evidence.of(row.task, e, e.known and e.low > above, e.value > above, text))
    return found


def stage_shape(results: Results, ours: Chosen) -> list[Evidence]:
    """The own step peaks in an inner stage, and drafts bring a larger share late than early."""
    decoder = results.find(ours)
    if decoder is None or results.own_policy(decoder) is None:
        return []
    by_stage = steps.contributions(results, decoder).pivot(
        index="stage", columns="axis", values=["tokens", "iterations"]
    )
    own, drafts = by_stage["tokens"]["policy step"], by_stage["tokens"]["accepted drafts"]
    weight = by_stage["iterations"]["policy step"]
    peak = int(own.idxmax())
    late, early = (
        float((drafts * weight)[part].sum() / ((own + drafts) * weight)[part].sum())
        for part in (own.index > 2, own.index <= 2)
    )
    inner, grows = 1 < peak < steps.STAGES, late > early
    text = (
        f"own step peaks in stage {peak} of {steps.STAGES}; drafts bring {early:.0%} of the tokens"
        f" early and {late:.0%} late"
    )
    estimate = Estimate(late - early, NAN, NAN, len(results.parts[decoder]))
    return [Evidence.of("all tasks", estimate, inner and grows, inner or grows, text)]


def fastest(
    results: Results, margin: float, equivalent: float, against: list[Chosen]
) -> list[Evidence]:
    """The fastest PSD at greedy's accuracy has a higher TPF than the fastest other decoder there;
    partially when only the ratio is above 1.

    A model on which one of `against` was not run says nothing, and where no PSD decoder keeps
    greedy's accuracy the cell is lost.
    """
    if not all(results.matching(other) for other in against):
        return []
    found = []
    for row in best.cells(results, margin, equivalent).itertuples():
        e = Estimate.of(row, "ratio")
        text = (
            f"{row.ours} {e.format(digits=2)}x the TPF of {row.other}"
            if row.ours
            else f"no PSD decoder at greedy's accuracy; {row.other} has TPF {row.other_tpf:.2f}"
        )
        found.append(Evidence.of(row.task, e, e.known and e.low > 1, e.value > 1, text))
    return found


def loses_with_k(
    results: Results, ours: Chosen, others: list[Chosen], ks: list[int], margin: float
) -> list[Evidence]:
    """From the first to the last k every other decoder loses accuracy, each interval below 0, and
    ours keeps it from the first to the last depth.

    Partially when only the differences are below 0. The estimate is that of the one that loses
    least.
    """
    first, last = ks
    losses = {
        other.family: _pairs(results, other.with_(k=last), other.with_(k=first), scored=True)
        for other in others
    }
    kept = _pairs(results, ours.with_(depth=last), ours.with_(depth=first), scored=True)
    found = []
    for task in results.tasks:
        if task not in kept or any(task not in loss for loss in losses.values()):
            continue
        lost = {family: pairs[task].accuracy_difference for family, pairs in losses.items()}
        least, own = max(lost.values(), key=lambda e: e.value), kept[task].accuracy_difference
        keeps_it = round(own.value, 9) >= -margin
        text = (
            ", ".join(f"{family} {_points(e)}" for family, e in lost.items())
            + f" from k = {first} to {last}; PSD {_points(own)} from d = {first} to {last}"
        )
        sure = all(e.known and e.high < 0 for e in lost.values())
        found.append(
            Evidence.of(task, least, keeps_it and sure, keeps_it and least.value < 0, text)
        )
    return found


TESTS = {
    test.__name__: test
    for test in (
        keeps,
        better,
        faster,
        saturates,
        keeps_growing,
        same_output,
        loses_more,
        first_draft,
        stage_shape,
        fastest,
        loses_with_k,
    )
}


def _later_gain(results: Results, ours: Selector, depths: list[int]) -> dict[str, Estimate]:
    """Per task: (TPF at depth 2 - TPF at depth 1) / (TPF at depth 1 - TPF at depth 0), paired over
    items.
    """
    decoders = [results.find(ours.with_(depth=depth)) for depth in depths]
    if None in decoders:
        return {}
    found = {}
    for (_, task), cell in results.cells.items():
        if set(decoders) <= cell.parts.keys():
            rows = [cell.parts[decoder].set_index("example_id") for decoder in decoders]
            items = sorted(set.intersection(*(set(part.index) for part in rows)))
            data = tuple(
                np.array(part.loc[items, name], dtype=float)
                for part in rows
                for name in ("tokens", "nfe")
            )
            found[task] = stats.bootstrap(data, _gain)
    return found


def _gain(*data: np.ndarray, axis: int) -> np.ndarray:
    first, middle, last = (data[i].sum(axis) / data[i + 1].sum(axis) for i in (0, 2, 4))
    # Without any first gain every later gain is "keeps growing".
    return (last - middle) / np.maximum(middle - first, 1e-9)


def _pairs(
    results: Results, ours: Selector, base: Selector, scored: bool = False
) -> dict[str, Pair]:
    """The pair of two decoders on every task; empty where one was not run."""
    decoders = results.find(ours), results.find(base)
    return {} if None in decoders else results.pair(*decoders).by_task(scored)


def _points(estimate: Estimate) -> str:
    return f"{estimate.points} points"
