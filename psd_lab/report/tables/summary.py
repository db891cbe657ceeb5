"""The long table: a line per model, task and decoder."""

from __future__ import annotations

from typing import Any

import pandas as pd

from psd_lab.report.results import Results
from psd_lab.report.stats import Estimate
from psd_lab.report.table import Table
from psd_lab.report.tables.wording import (
    INTERVALS,
    RULES,
    SECOND,
    TPF_MEANS,
    calls,
    rule,
    second_model,
)

CAPTION = (
    "{title} {tpf_means}. {intervals}. `same output`: items on which the completion equals, token"
    " for token, that of the same policy without drafts. {rules}.{second}"
)


def summary(results: Results, id: str, title: str) -> Table:
    """Per model, task and decoder: accuracy, its paired difference to greedy, TPF and what the
    calls cost.
    """
    numbers = results.numbers
    second = bool(results.frame.second_nfe.any())
    shown = pd.DataFrame([_line(record, second) for record in numbers.to_dict("records")])
    caption = CAPTION.format(
        title=title,
        tpf_means=TPF_MEANS,
        intervals=INTERVALS,
        rules=RULES,
        second=second_model(results),
    )
    data = numbers.drop(columns="setting")
    return Table(id, caption, data, shown, timed=("tokens/s",), notes=results.notes)


def _line(record: dict[str, Any], second: bool) -> dict[str, Any]:
    return {
        "model": record["model"],
        "task": record["task"],
        "decoder": record["decoder"],
        "n": record["n"],
        "accuracy %": Estimate.of(record, "accuracy").format(100),
        "minus greedy, points": _minus_greedy(record),
        "TPF": Estimate.of(record, "tpf").format(digits=2),
        **({SECOND: calls(record["second_nfe"])} if second else {}),
        "rows per call": f"{record['rows_per_call']:.2f}",
        "queries per token": f"{record['query_tokens_per_token']:.1f}",
        "tokens/s": f"{record['tokens_per_s']:.0f}",
        "same output": (
            f"{record['same']:.0f}/{record['same_n']:.0f}" if _known(record, "same") else "-"
        ),
        "rule": rule(record),
    }


def _minus_greedy(record: dict[str, Any]) -> str:
    if not _known(record, "vs_greedy_n"):
        return "-"
    if record["same_as_greedy"]:
        return "0 (same output)"
    return Estimate.of(record, "vs_greedy", n="vs_greedy_n").points


def _known(record: dict[str, Any], name: str) -> bool:
    return not pd.isna(record.get(name))
