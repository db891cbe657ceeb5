"""Decides what one model's rows say of a claim: the rules that `data/claims.yaml` names, one piece
of evidence per task.

A rule takes the prepared rows of one model and the claim's parameters. It returns nothing where
rows that it needs were not run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from psd_lab.report import best, stats, steps
from psd_lab.report import rows as rows_of
from psd_lab.report.stats import Estimate

REPRODUCED, PARTIALLY, NOT_REPRODUCED, NOT_TESTED = (
    "reproduced",
    "partially",
    "not reproduced",
    "not tested",
)


@dataclass(frozen=True)
class Evidence:
    """What one task says: a verdict, the estimate it rests on, and that estimate as text."""

    task: str
    verdict: str
    estimate: Estimate
    text: str


def keeps(frame: pd.DataFrame, ours: dict, base: dict, margin: float) -> list[Evidence]:
    """The paired accuracy difference lies above minus the margin; partially when its interval
    reaches below that.
    """
    found = []
    for task, both in _pairs(frame, ours, base, scored=True):
        e = _difference(both)
        found.append(
            _evidence(task, e, e.known and e.low >= -margin, e.value >= -margin, _points(e))
        )
    return found


def better(frame: pd.DataFrame, ours: dict, base: dict) -> list[Evidence]:
    """The paired accuracy difference lies above 0; partially when the interval contains 0 and the
    difference is >= 0.
    """
    found = []
    for task, both in _pairs(frame, ours, base, scored=True):
        e = _difference(both)
        found.append(_evidence(task, e, e.known and e.low > 0, e.value >= 0, _points(e)))
    return found


def faster(frame: pd.DataFrame, ours: dict, base: dict, paper: float) -> list[Evidence]:
    """The TPF ratio's interval reaches the paper's lower bound and lies above 1; partially when
    only above 1.

    Where the paper only claims "higher" (bound 1), partially means that the ratio, but not its
    interval, is above 1.
    """
    found = []
    for task, both in _pairs(frame, ours, base):
        e = stats.ratio_of_ratios(
            (both.tokens_ours, both.nfe_ours), (both.tokens_base, both.nfe_base)
        )
        above = e.known and e.low > 1
        found.append(
            _evidence(
                task,
                e,
                above and e.high >= paper,
                above if paper > 1 else e.value > 1,
                f"{e.format(digits=2)}x",
            )
        )
    return found


def saturates(
    frame: pd.DataFrame, family: str, policy: str, depths: list[int], share: float
) -> list[Evidence]:
    """What the last depths add, relative to what the first added, lies below the share."""
    return [
        _evidence(task, e, e.known and e.high < share, e.value < share, e.format(digits=2))
        for task, e in _later_gain(frame, family, policy, depths)
    ]


def keeps_growing(
    frame: pd.DataFrame, family: str, policy: str, depths: list[int], share: float
) -> list[Evidence]:
    """What the last depths add, relative to what the first added, lies above the share."""
    return [
        _evidence(task, e, e.known and e.low > share, e.value > share, e.format(digits=2))
        for task, e in _later_gain(frame, family, policy, depths)
    ]


def same_output(frame: pd.DataFrame, ours: dict) -> list[Evidence]:
    """Every item's tokens equal those of the same policy without drafts; there is no partially."""
    setting = rows_of.find(frame, **ours)
    base = None if setting is None else rows_of.own_policy(frame, setting)
    if base is None:
        return []
    found = []
    for task, both in rows_of.common(rows_of.parts(frame)[setting], base).groupby(
        "task", sort=False
    ):
        same, n = stats.same_count(both.token_ids_hash_ours, both.token_ids_hash_base)
        found.append(_evidence(task, stats.wilson(same, n), same == n, False, f"{same}/{n} equal"))
    return found


def loses_more(frame: pd.DataFrame, ours: dict, base: dict, reference: str) -> list[Evidence]:
    """The accuracy lost to the base is larger than on the reference task, with separate intervals."""
    losses = {
        task: stats.accuracy_difference(
            both.correct_base.astype(float), both.correct_ours.astype(float)
        )
        for task, both in _pairs(frame, ours, base, scored=True)
    }
    anchor = losses.pop(reference, None)
    if anchor is None:
        return []
    return [
        _evidence(
            task,
            e,
            e.known and anchor.known and e.low > anchor.high,
            e.value > anchor.value,
            f"loses {_points(e)} against {_points(anchor)} on {reference}",
        )
        for task, e in losses.items()
    ]


def first_draft(frame: pd.DataFrame, family: str, above: float) -> list[Evidence]:
    """The share of calls that accept the first draft lies above the bound."""
    found = []
    deepest = frame[
        (frame.family == family) & (frame.depth == frame[frame.family == family].depth.max())
    ]
    if deepest.empty:
        return []
    for row in steps.acceptance(deepest).query("depth == 1").itertuples():
        e = Estimate(row.survival, row.low, row.high, row.n)
        found.append(
            _evidence(
                row.task,
                e,
                e.known and e.low > above,
                e.value > above,
                f"{e.format(100)} % of calls",
            )
        )
    return found


def stage_shape(frame: pd.DataFrame, ours: dict) -> list[Evidence]:
    """Own step largest in an inner stage, and drafts' share of the tokens larger late than early."""
    setting = rows_of.find(frame, **ours)
    if setting is None or rows_of.own_policy(frame, setting) is None:
        return []
    found = steps.contributions(frame, setting).pivot(
        index="stage", columns="axis", values=["tokens", "iterations"]
    )
    own, drafts = found["tokens"]["policy step"], found["tokens"]["accepted drafts"]
    weight = found["iterations"]["policy step"]
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
    estimate = Estimate(
        late - early, float("nan"), float("nan"), len(rows_of.parts(frame)[setting])
    )
    return [_evidence("all tasks", estimate, inner and grows, inner or grows, text)]


def fastest(
    frame: pd.DataFrame, margin: float, equivalent: float, against: list[str]
) -> list[Evidence]:
    """The fastest PSD at greedy's accuracy has a higher TPF than the fastest other decoder there;
    partially when only the ratio is above 1.

    A model on which a family of `against` was not run says nothing, and where no PSD decoder keeps
    greedy's accuracy the cell is lost.
    """
    found = []
    if not set(against) <= set(frame.family):
        return found
    for row in best.cells(frame, margin, equivalent).itertuples():
        e = Estimate(row.ratio, row.ratio_low, row.ratio_high, int(row.n))
        text = (
            f"{row.ours} {e.format(digits=2)}x the TPF of {row.other}"
            if row.ours
            else f"no PSD decoder at greedy's accuracy; {row.other} has TPF {row.other_tpf:.2f}"
        )
        found.append(_evidence(row.task, e, e.known and e.low > 1, e.value > 1, text))
    return found


def loses_with_k(
    frame: pd.DataFrame, ours: dict, families: list[str], ks: list[int], margin: float
) -> list[Evidence]:
    """From the first to the last k every family loses accuracy, each interval below 0, and ours
    keeps it from the first to the last depth.

    Partially when only the differences are below 0. The estimate is that of the family that loses
    least.
    """
    losses = {
        family: dict(
            _pairs(
                frame, *({"family": family, "point": f"k={k}"} for k in reversed(ks)), scored=True
            )
        )
        for family in families
    }
    kept = dict(_pairs(frame, *({**ours, "depth": k} for k in reversed(ks)), scored=True))
    found = []
    for task in frame.task.unique():
        if task not in kept or any(task not in loss for loss in losses.values()):
            continue
        steps_of = {name: _difference(both[task]) for name, both in losses.items()}
        least, own = max(steps_of.values(), key=lambda e: e.value), _difference(kept[task])
        keeps_it = round(own.value, 9) >= -margin
        text = (
            ", ".join(f"{name} {_points(e)}" for name, e in steps_of.items())
            + f" from k = {ks[0]} to {ks[-1]}; PSD {_points(own)} from d = {ks[0]} to {ks[-1]}"
        )
        sure = all(e.known and e.high < 0 for e in steps_of.values())
        found.append(_evidence(task, least, keeps_it and sure, keeps_it and least.value < 0, text))
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


def _later_gain(
    frame: pd.DataFrame, family: str, policy: str, depths: list[int]
) -> list[tuple[str, Estimate]]:
    """Per task: (TPF at depth 2 - TPF at depth 1) / (TPF at depth 1 - TPF at depth 0), paired over
    items.
    """
    names = [
        {"family": family if d else policy, "depth": d, **({} if d else {"point": "0.9"})}
        for d in depths
    ]
    settings = [rows_of.find(frame, **name) for name in names]
    if None in settings:
        return []
    found = []
    for task, part in frame.groupby("task", sort=False):
        if not set(settings) <= rows_of.parts(part).keys():
            continue
        columns = [rows_of.parts(part)[s].set_index("example_id") for s in settings]
        items = sorted(set.intersection(*(set(c.index) for c in columns)))
        data = tuple(
            np.array(c.loc[items, name], dtype=float) for c in columns for name in ("tokens", "nfe")
        )
        found.append((task, stats.bootstrap(data, _gain)))
    return found


def _gain(*data: np.ndarray, axis: int) -> np.ndarray:
    first, middle, last = (data[i].sum(axis) / data[i + 1].sum(axis) for i in (0, 2, 4))
    return (last - middle) / np.maximum(
        middle - first, 1e-9
    )  # no first gain at all: any later gain is "keeps growing"


def _pairs(
    frame: pd.DataFrame, ours: dict, base: dict, scored: bool = False
) -> list[tuple[str, pd.DataFrame]]:
    names = [rows_of.find(frame, **ours), rows_of.find(frame, **base)]
    if None in names:
        return []
    both = rows_of.common(*(rows_of.parts(frame)[name] for name in names), scored=scored)
    return list(both.groupby("task", sort=False))


def _difference(both: pd.DataFrame) -> Estimate:
    return stats.accuracy_difference(
        both.correct_ours.astype(float), both.correct_base.astype(float)
    )


def _evidence(
    task: str, estimate: Estimate, reproduced: bool, partially: bool, text: str
) -> Evidence:
    verdict = REPRODUCED if reproduced else PARTIALLY if partially else NOT_REPRODUCED
    return Evidence(task, verdict, estimate, text)


def _points(estimate: Estimate) -> str:
    return f"{estimate.format(100, 1, sign=True)} points"
