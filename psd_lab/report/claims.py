"""Decides, by rules fixed beforehand, which of the papers' claims hold here. The claims themselves
are `data/claims.yaml`.

A claim names one function of `report.rules`, which judges one task of one model at a time from
paired rows. The worst and best task decide a model's verdict together: reproduced if it is on every
task, not reproduced if it is on none, partially otherwise. The models' verdicts give the claim's by
the same rule: reproduced only if it is on every model. A claim on most of the cells says how many
suffice, and all cells are counted together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import yaml

from psd_lab import paths
from psd_lab.report import rows as rows_of
from psd_lab.report.rules import NOT_REPRODUCED, NOT_TESTED, PARTIALLY, REPRODUCED, TESTS, Evidence
from psd_lab.report.table import Table
from psd_lib.errors import UserError


@dataclass(frozen=True)
class Claim:
    """One claim: what is claimed, where, and either a test with its parameters or the reason why
    there is none.

    `suffices` (7, 9): the claim is about at least 7 of 9 model x task cells, or that share of those
    that there are.
    """

    id: str
    source: str
    claim: str
    rule: str = ""
    test: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    suffices: tuple[int, int] | None = None


def load() -> list[Claim]:
    """Reads the claims; UserError on an unknown test or key, or a claim that has neither a test nor
    a reason.
    """
    claims, path = [], paths.find(paths.DATA, "claims.yaml")
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
        unknown = set(entry) - set(Claim.__dataclass_fields__)
        if unknown:
            raise UserError(
                f"claim {entry.get('id')} has unknown keys {sorted(unknown)}; it takes"
                f" {', '.join(Claim.__dataclass_fields__)}."
            )
        claim = Claim(**entry)
        if bool(claim.test) == bool(claim.reason) or (
            claim.test and (claim.test not in TESTS or not claim.rule)
        ):
            raise UserError(
                f"claim {claim.id} needs a rule with a test out of {', '.join(TESTS)}, or a reason"
                " why it is not tested."
            )
        claims.append(claim)
    return claims


@dataclass(frozen=True)
class Judgement:
    """One model's verdict and the evidence that it rests on, one piece per task; empty where rows
    are missing.
    """

    model: str
    verdict: str
    evidence: list[Evidence]

    @property
    def text(self) -> str:
        """The verdict with what was measured."""
        return (
            f"{self.verdict}: "
            + "; ".join(f"{e.task}: {e.text} (n={e.estimate.n})" for e in self.evidence)
            if self.evidence
            else self.verdict
        )


def judge(claim: Claim, frame: pd.DataFrame) -> tuple[str, list[Judgement]]:
    """The verdict on one claim, and that of every model, from prepared rows."""
    if not claim.test:
        return NOT_TESTED, []
    found = []
    for model, part in rows_of.by_model(frame):
        evidence = TESTS[claim.test](part, **claim.parameters)
        found.append(Judgement(model, _together([e.verdict for e in evidence]), evidence))
    if claim.suffices is None:
        return _together([j.verdict for j in found]), found
    return _counted([e.verdict for j in found for e in j.evidence], *claim.suffices), found


def table(frame: pd.DataFrame, id: str) -> Table:
    """All claims with their rules, what was measured on each model, and the verdicts."""
    data, shown = [], []
    for claim in load():
        verdict, found = judge(claim, frame)
        why = claim.reason or "the rows that it needs were not run"
        missing = verdict == NOT_TESTED
        cells = {j.model: why if missing else j.text for j in found} or dict.fromkeys(
            rows_of.models(frame), why
        )
        shown.append(
            {
                "claim": claim.claim,
                "source": claim.source,
                "rule": claim.rule or "-",
                **cells,
                "verdict": verdict,
            }
        )
        data += [
            {
                "id": claim.id,
                "model": j.model,
                **_numbers(e),
                "model_verdict": j.verdict,
                "verdict": verdict,
            }
            for j in found
            for e in j.evidence
        ]
        if missing:
            data.append({"id": claim.id, "model": "", "task": "", "n": 0, "verdict": verdict})
    caption = (
        f"Claims of the papers, tested on the embedded models ({', '.join(rows_of.models(frame))})"
        " and the embedded tasks: shapes, not digits. Rules were fixed before the results were"
        " read. A claim is reproduced only where it is on every model and task, and not reproduced"
        " where it is on none. Brackets: 95 % paired intervals over n items."
    )
    return Table(id, caption, pd.DataFrame(data), pd.DataFrame(shown))


def verdicts(full: Table, id: str) -> Table:
    """Claims and verdicts alone, by model, for readers in a hurry."""
    caption = full.caption.partition(" Brackets:")[0]
    models = [name for name in full.shown if name not in ("claim", "source", "rule", "verdict")]
    short = full.shown[["claim", "source", *models, "verdict"]].rename(
        columns={"verdict": "together"}
    )
    for name in models:
        told = short[name].str.partition(":")[0]
        short[name] = told.where(told.isin((REPRODUCED, PARTIALLY, NOT_REPRODUCED)), NOT_TESTED)
    return Table(id, caption, full.data, short)


def _numbers(e: Evidence) -> dict[str, Any]:
    return {
        "task": e.task,
        "value": e.estimate.value,
        "low": e.estimate.low,
        "high": e.estimate.high,
        "n": e.estimate.n,
        "task_verdict": e.verdict,
    }


def _together(verdicts: list[str]) -> str:
    kinds = set(verdicts)
    if not kinds:
        return NOT_TESTED
    return kinds.pop() if len(kinds) == 1 else PARTIALLY


def _counted(verdicts: list[str], needed: int, of: int) -> str:
    """The verdict on a claim about most cells: what is only partially so counts for partially."""
    if not verdicts:
        return NOT_TESTED
    enough = math.ceil(len(verdicts) * needed / of)
    if verdicts.count(REPRODUCED) >= enough:
        return REPRODUCED
    return PARTIALLY if len(verdicts) - verdicts.count(NOT_REPRODUCED) >= enough else NOT_REPRODUCED
