"""Which of the papers' claims hold here, by rules fixed beforehand. `data/claims.yaml` holds them.

A claim names one function of `report.rules`, which judges one task of one model at a time from
paired rows. The tasks decide a model's verdict together: reproduced if it is on every task, not
reproduced if it is on none, partially otherwise. The models' verdicts give the claim's by the same
rule: reproduced only if it is on every model. A claim on most of the cells says how many suffice,
and all cells are counted together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from inspect import signature
from typing import Any, get_type_hints

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from psd_lab import paths, yaml_reader
from psd_lab.report.evidence import (
    NOT_REPRODUCED,
    NOT_TESTED,
    PARTIALLY,
    REPRODUCED,
    Evidence,
    counted,
    together,
)
from psd_lab.report.results import Results
from psd_lab.report.rules import TESTS
from psd_lab.report.table import Table
from psd_lab.schema import Text, accept, checked, sentence, short
from psd_lib.errors import UserError

FILE = "claims.yaml"
NOT_RUN = "the rows that it needs were not run"
CAPTION = (
    "Claims of the papers, tested on the embedded models ({models}) and the embedded tasks: shapes,"
    " not digits. Rules were fixed before the results were read. A claim is reproduced only where"
    " it is on every model and task, and not reproduced where it is on none."
)
BRACKETS = " Brackets: 95 % paired intervals over n items."


@checked("claim", name="id")
class Claim:
    """One claim: what is claimed, where, and either a test with its parameters or the reason why
    there is none.

    `suffices` (7, 9): the claim is about at least 7 of 9 model x task cells, or that share of those
    that there are.
    """

    id: Text
    source: Text
    claim: Text
    rule: str = ""
    test: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    suffices: tuple[int, int] | None = None

    def __post_init__(self):
        tested = self.test in TESTS and bool(self.rule)
        if bool(self.test) == bool(self.reason) or (self.test and not tested):
            raise UserError(
                f"claim {self.id} needs a rule with a test out of {', '.join(TESTS)}, or a reason"
                " why it is not tested."
            )
        if self.test:
            arguments(self.id, TESTS[self.test], self.parameters)

    def test_on(self, results: Results) -> list[Evidence]:
        """What the rows of one model say of the claim."""
        test = TESTS[self.test]
        return test(results, **arguments(self.id, test, self.parameters))


def load() -> list[Claim]:
    """Read the claims.

    Raises:
        UserError: an unknown key, test, parameter, decoder or option, or a claim that has neither a
            test nor a reason.
    """
    path = paths.find(paths.DATA, FILE)
    entries = yaml_reader.read_file(path)
    if not isinstance(entries, list):
        raise UserError(f"{path} must be a list of claims, not {short(entries)}.")
    claims = []
    for number, entry in enumerate(entries, 1):
        accept(entry, Claim.__dataclass_fields__, f"claim {number} of {path.name}")
        claims.append(Claim(**entry))
    return claims


def arguments(id: str, test: Callable, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A claim's parameters as its test takes them: selectors, numbers and tasks.

    Raises:
        UserError: a parameter is unknown, missing or of the wrong kind.
    """
    model, owner = _schema(test), f"the parameters of claim {id!r}"
    accept(parameters, model.model_fields, owner)
    try:
        read = model(**parameters)
    except ValidationError as error:
        text = sentence(error, model, owner)
        raise UserError(text if owner in text else f"claim {id!r}: {text}") from None
    return {name: getattr(read, name) for name in model.model_fields}


def _schema(test: Callable) -> type[BaseModel]:
    """What a test accepts besides the results, read from its signature."""
    kinds = get_type_hints(test, include_extras=True)
    names = list(signature(test).parameters)[1:]
    settings = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    fields: Any = {name: (kinds[name], ...) for name in names}
    return create_model(test.__name__, __config__=settings, **fields)


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
        measured = "; ".join(f"{e.task}: {e.text} (n={e.estimate.n})" for e in self.evidence)
        return f"{self.verdict}: {measured}" if measured else self.verdict


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim, and each model's; no model's where the claim is not tested."""

    claim: Claim
    judgements: list[Judgement]

    @cached_property
    def verdict(self) -> str:
        """The models together, or all cells where the claim is about most of them."""
        if self.claim.suffices is None:
            return together([judgement.verdict for judgement in self.judgements])
        cells = [e.verdict for judgement in self.judgements for e in judgement.evidence]
        return counted(cells, *self.claim.suffices)


def judge(claim: Claim, results: Results) -> Verdict:
    """The verdict on one claim, and that of every model."""
    judgements = []
    for model, part in results.by_model.items() if claim.test else ():
        evidence = claim.test_on(part)
        judgements.append(Judgement(model, together([e.verdict for e in evidence]), evidence))
    return Verdict(claim, judgements)


def table(results: Results, id: str) -> Table:
    """All claims with their rules, what was measured on each model, and the verdicts."""
    judged = [judge(claim, results) for claim in load()]
    shown = pd.DataFrame([_line(verdict, results.models) for verdict in judged])
    data = pd.DataFrame([record for verdict in judged for record in _records(verdict)])
    caption = CAPTION.format(models=", ".join(results.models)) + BRACKETS
    return Table(id, caption, data, shown)


def verdicts(full: Table, id: str) -> Table:
    """Claims and verdicts alone, by model, for readers in a hurry."""
    models = [name for name in full.shown if name not in ("claim", "source", "rule", "verdict")]
    short = full.shown[["claim", "source", *models, "verdict"]]
    short = short.rename(columns={"verdict": "together"})
    for name in models:
        verdict = short[name].str.partition(":")[0]
        tested = verdict.isin((REPRODUCED, PARTIALLY, NOT_REPRODUCED))
        short[name] = verdict.where(tested, NOT_TESTED)
    return Table(id, full.caption.removesuffix(BRACKETS), full.data, short)


def _line(verdict: Verdict, models: list[str]) -> dict[str, str]:
    claim = verdict.claim
    if verdict.verdict == NOT_TESTED:
        cells = dict.fromkeys(models, claim.reason or NOT_RUN)
    else:
        cells = {judgement.model: judgement.text for judgement in verdict.judgements}
    return {
        "claim": claim.claim,
        "source": claim.source,
        "rule": claim.rule or "-",
        **cells,
        "verdict": verdict.verdict,
    }


def _records(verdict: Verdict) -> list[dict[str, Any]]:
    """The numbers of a claim: one record per model and task, or one for a claim not tested."""
    records = [
        {
            "id": verdict.claim.id,
            "model": judgement.model,
            "task": e.task,
            "value": e.estimate.value,
            "low": e.estimate.low,
            "high": e.estimate.high,
            "n": e.estimate.n,
            "task_verdict": e.verdict,
            "model_verdict": judgement.verdict,
            "verdict": verdict.verdict,
        }
        for judgement in verdict.judgements
        for e in judgement.evidence
    ]
    if verdict.verdict != NOT_TESTED:
        return records
    untested = {"id": verdict.claim.id, "model": "", "task": "", "n": 0, "verdict": NOT_TESTED}
    return [*records, untested]
