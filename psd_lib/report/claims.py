"""Decides, by rules fixed beforehand, which of the papers' claims hold here. The claims themselves are `data/claims.yaml`.

A claim names one function of `TESTS`, which judges one task of one model at a time from paired rows. The worst and best
task decide a model's verdict together: reproduced if it is on every task, not reproduced if it is on none, partially
otherwise. The models' verdicts give the claim's by the same rule: reproduced only if it is on every model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import yaml

from psd_lib import paths
from psd_lib.errors import UserError
from psd_lib.report import rows as rows_of
from psd_lib.report import stats, steps
from psd_lib.report.stats import Estimate
from psd_lib.report.table import Table

REPRODUCED, PARTIALLY, NOT_REPRODUCED, NOT_TESTED = "reproduced", "partially", "not reproduced", "not tested"


@dataclass(frozen=True)
class Claim:
    """One claim: what is claimed, where, and either a test with its parameters or the reason why there is none."""

    id: str
    source: str
    claim: str
    rule: str = ""
    test: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Evidence:
    """What one task says: a verdict, the estimate it rests on, and that estimate as text."""

    task: str
    verdict: str
    estimate: Estimate
    text: str


def load() -> list[Claim]:
    """Reads the claims; UserError on an unknown test or key, or a claim that has neither a test nor a reason."""
    claims = []
    for entry in yaml.safe_load((paths.DATA / "claims.yaml").read_text(encoding="utf-8")):
        unknown = set(entry) - set(Claim.__dataclass_fields__)
        if unknown:
            raise UserError(f"claim {entry.get('id')} has unknown keys {sorted(unknown)}; it takes {', '.join(Claim.__dataclass_fields__)}.")
        claim = Claim(**entry)
        if bool(claim.test) == bool(claim.reason) or (claim.test and (claim.test not in TESTS or not claim.rule)):
            raise UserError(f"claim {claim.id} needs a rule with a test out of {', '.join(TESTS)}, or a reason why it is not tested.")
        claims.append(claim)
    return claims


@dataclass(frozen=True)
class Judgement:
    """One model's verdict and the evidence that it rests on, one piece per task; empty where rows are missing."""

    model: str
    verdict: str
    evidence: list[Evidence]

    @property
    def text(self) -> str:
        """The verdict with what was measured."""
        return f"{self.verdict}: " + "; ".join(f"{e.task}: {e.text} (n={e.estimate.n})" for e in self.evidence) if self.evidence else self.verdict


def judge(claim: Claim, frame: pd.DataFrame) -> tuple[str, list[Judgement]]:
    """The verdict on one claim, and that of every model, from prepared rows."""
    if not claim.test:
        return NOT_TESTED, []
    found = []
    for model, part in rows_of.by_model(frame):
        evidence = TESTS[claim.test](part, **claim.parameters)
        found.append(Judgement(model, _together([e.verdict for e in evidence]), evidence))
    return _together([j.verdict for j in found]), found


def table(frame: pd.DataFrame, id: str) -> Table:
    """All claims with their rules, what was measured on each model, and the verdicts."""
    data, shown = [], []
    for claim in load():
        verdict, found = judge(claim, frame)
        why = claim.reason or "the rows that it needs were not run"
        missing = verdict == NOT_TESTED
        cells = {j.model: why if missing else j.text for j in found} or dict.fromkeys(rows_of.models(frame), why)
        shown.append({"claim": claim.claim, "source": claim.source, "rule": claim.rule or "-", **cells, "verdict": verdict})
        data += [{"id": claim.id, "model": j.model, **_numbers(e), "model_verdict": j.verdict, "verdict": verdict}
                 for j in found for e in j.evidence]
        if missing:
            data.append({"id": claim.id, "model": "", "task": "", "n": 0, "verdict": verdict})
    caption = (f"Claims of the papers, tested on the embedded models ({', '.join(rows_of.models(frame))}) and the embedded tasks: shapes, not digits. Rules "
               "were fixed before the results were read. A claim is reproduced only where it is on every model and task, and not reproduced where it is "
               "on none. Brackets: 95 % paired intervals over n items.")
    return Table(id, caption, pd.DataFrame(data), pd.DataFrame(shown))


def verdicts(full: Table, id: str) -> Table:
    """Claims and verdicts alone, by model, for readers in a hurry."""
    caption = full.caption.partition(" Brackets:")[0]
    models = [name for name in full.shown if name not in ("claim", "source", "rule", "verdict")]
    short = full.shown[["claim", "source", *models, "verdict"]].rename(columns={"verdict": "together"})
    for name in models:
        told = short[name].str.partition(":")[0]
        short[name] = told.where(told.isin((REPRODUCED, PARTIALLY, NOT_REPRODUCED)), NOT_TESTED)
    return Table(id, caption, full.data, short)


def keeps(frame: pd.DataFrame, ours: dict, base: dict, margin: float) -> list[Evidence]:
    """The paired accuracy difference lies above minus the margin; partially when its interval reaches below that."""
    found = []
    for task, both in _pairs(frame, ours, base, scored=True):
        e = stats.accuracy_difference(both.correct_ours.astype(float), both.correct_base.astype(float))
        found.append(_evidence(task, e, e.known and e.low >= -margin, e.value >= -margin, _points(e)))
    return found


def better(frame: pd.DataFrame, ours: dict, base: dict) -> list[Evidence]:
    """The paired accuracy difference lies above 0; partially when the interval contains 0 and the difference is >= 0."""
    found = []
    for task, both in _pairs(frame, ours, base, scored=True):
        e = stats.accuracy_difference(both.correct_ours.astype(float), both.correct_base.astype(float))
        found.append(_evidence(task, e, e.known and e.low > 0, e.value >= 0, _points(e)))
    return found


def faster(frame: pd.DataFrame, ours: dict, base: dict, paper: float) -> list[Evidence]:
    """The TPF ratio's interval reaches the paper's lower bound and lies above 1; partially when only above 1.

    Where the paper only claims "higher" (bound 1), partially means that the ratio, but not its interval, is above 1.
    """
    found = []
    for task, both in _pairs(frame, ours, base):
        e = stats.ratio_of_ratios((both.tokens_ours, both.nfe_ours), (both.tokens_base, both.nfe_base))
        above = e.known and e.low > 1
        found.append(_evidence(task, e, above and e.high >= paper, above if paper > 1 else e.value > 1, f"{e.format(digits=2)}x"))
    return found


def saturates(frame: pd.DataFrame, family: str, policy: str, depths: list[int], share: float) -> list[Evidence]:
    """What the last depths add, relative to what the first added, lies below the share."""
    return [_evidence(task, e, e.known and e.high < share, e.value < share, e.format(digits=2))
            for task, e in _later_gain(frame, family, policy, depths)]


def keeps_growing(frame: pd.DataFrame, family: str, policy: str, depths: list[int], share: float) -> list[Evidence]:
    """What the last depths add, relative to what the first added, lies above the share."""
    return [_evidence(task, e, e.known and e.low > share, e.value > share, e.format(digits=2))
            for task, e in _later_gain(frame, family, policy, depths)]


def same_output(frame: pd.DataFrame, ours: dict) -> list[Evidence]:
    """Every item's tokens equal those of the same policy without drafts; there is no partially."""
    setting = rows_of.find(frame, **ours)
    base = None if setting is None else rows_of.own_policy(frame, setting)
    if base is None:
        return []
    found = []
    for task, both in rows_of.common(frame[frame.setting == setting], base).groupby("task", sort=False):
        same, n = stats.same_count(both.token_ids_hash_ours, both.token_ids_hash_base)
        found.append(_evidence(task, stats.wilson(same, n), same == n, False, f"{same}/{n} equal"))
    return found


def loses_more(frame: pd.DataFrame, ours: dict, base: dict, reference: str) -> list[Evidence]:
    """The accuracy lost to the base is larger than on the reference task, with separate intervals."""
    losses = {task: stats.accuracy_difference(both.correct_base.astype(float), both.correct_ours.astype(float))
              for task, both in _pairs(frame, ours, base, scored=True)}
    anchor = losses.pop(reference, None)
    if anchor is None:
        return []
    return [_evidence(task, e, e.known and anchor.known and e.low > anchor.high, e.value > anchor.value,
                      f"loses {_points(e)} against {_points(anchor)} on {reference}") for task, e in losses.items()]


def first_draft(frame: pd.DataFrame, family: str, above: float) -> list[Evidence]:
    """The share of calls that accept the first draft lies above the bound."""
    found = []
    deepest = frame[(frame.family == family) & (frame.depth == frame[frame.family == family].depth.max())]
    if deepest.empty:
        return []
    for row in steps.acceptance(deepest).query("depth == 1").itertuples():
        e = Estimate(row.survival, row.low, row.high, row.n)
        found.append(_evidence(row.task, e, e.known and e.low > above, e.value > above, f"{e.format(100)} % of calls"))
    return found


def stage_shape(frame: pd.DataFrame, ours: dict) -> list[Evidence]:
    """Own step largest in an inner stage, and drafts' share of the tokens larger late than early."""
    setting = rows_of.find(frame, **ours)
    if setting is None or rows_of.own_policy(frame, setting) is None:
        return []
    found = steps.contributions(frame, setting).pivot(index="stage", columns="axis", values=["tokens", "iterations"])
    own, drafts = found["tokens"]["policy step"], found["tokens"]["accepted drafts"]
    weight = found["iterations"]["policy step"]
    peak = int(own.idxmax())
    late, early = (float((drafts * weight)[part].sum() / ((own + drafts) * weight)[part].sum()) for part in (own.index > 2, own.index <= 2))
    inner, grows = 1 < peak < steps.STAGES, late > early
    text = f"own step peaks in stage {peak} of {steps.STAGES}; drafts bring {early:.0%} of the tokens early and {late:.0%} late"
    estimate = Estimate(late - early, float("nan"), float("nan"), int(frame[frame.setting == setting].shape[0]))
    return [_evidence("all tasks", estimate, inner and grows, inner or grows, text)]


TESTS = {test.__name__: test for test in (keeps, better, faster, saturates, keeps_growing, same_output, loses_more,
                                          first_draft, stage_shape)}  # fmt: skip


def _later_gain(frame: pd.DataFrame, family: str, policy: str, depths: list[int]) -> list[tuple[str, Estimate]]:
    """Per task: (TPF at depth 2 - TPF at depth 1) / (TPF at depth 1 - TPF at depth 0), paired over items."""
    names = [{"family": family if d else policy, "depth": d, **({} if d else {"point": "0.9"})} for d in depths]
    settings = [rows_of.find(frame, **name) for name in names]
    if None in settings:
        return []
    found = []
    for task, part in frame.groupby("task", sort=False):
        columns = [part[part.setting == s].set_index("example_id") for s in settings]
        items = sorted(set.intersection(*(set(c.index) for c in columns)))
        data = tuple(np.array(c.loc[items, name], dtype=float) for c in columns for name in ("tokens", "nfe"))
        found.append((task, stats.bootstrap(data, _gain)))
    return found


def _gain(*data: np.ndarray, axis: int) -> np.ndarray:
    first, middle, last = (data[i].sum(axis) / data[i + 1].sum(axis) for i in (0, 2, 4))
    return (last - middle) / np.maximum(middle - first, 1e-9)  # no first gain at all: any later gain is "keeps growing"


def _pairs(frame: pd.DataFrame, ours: dict, base: dict, scored: bool = False) -> list[tuple[str, pd.DataFrame]]:
    names = [rows_of.find(frame, **ours), rows_of.find(frame, **base)]
    if None in names:
        return []
    both = rows_of.common(*(frame[frame.setting == name] for name in names), scored=scored)
    return list(both.groupby("task", sort=False))


def _evidence(task: str, estimate: Estimate, reproduced: bool, partially: bool, text: str) -> Evidence:
    verdict = REPRODUCED if reproduced else PARTIALLY if partially else NOT_REPRODUCED
    return Evidence(task, verdict, estimate, text)


def _numbers(e: Evidence) -> dict[str, Any]:
    return {"task": e.task, "value": e.estimate.value, "low": e.estimate.low, "high": e.estimate.high, "n": e.estimate.n,
            "task_verdict": e.verdict}


def _points(estimate: Estimate) -> str:
    return f"{estimate.format(100, 1, sign=True)} points"


def _together(verdicts: list[str]) -> str:
    kinds = set(verdicts)
    if not kinds:
        return NOT_TESTED
    return kinds.pop() if len(kinds) == 1 else PARTIALLY
