"""Each drafting decoder against its own policy: same output, accuracy, calls saved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from psd_lab.report.numbers import policy_numbers
from psd_lab.report.results import Results
from psd_lab.report.stats import Estimate
from psd_lab.report.table import Table
from psd_lab.report.tables.wording import RULES, TPF_MEANS, rule

CAPTION = (
    "{title} Each decoder against the same policy without drafts, on the same items, all tasks"
    " together; `-`: not run on this model, or its policy was not run alone. {tpf_means}."
    " Brackets: 95 % paired intervals (Bonett-Price for accuracy, bootstrap over items for TPF)."
    " {rules}."
)


def exactness(results: Results, id: str, title: str) -> Table:
    """Per drafting decoder and model, over all tasks: same output as its policy, what another
    output costs in accuracy, calls saved.

    A decoder whose policy was not run alone has a line without counts, so that nobody takes it for
    compared.
    """
    records = [
        {
            "model": model,
            "setting": decoder,
            "decoder": part.label(decoder),
            "depth": decoder.depth,
            "exact": bool(part.parts[decoder].exact.iloc[0]),
            "fidelity": decoder.fidelity,
            **policy_numbers(part, decoder),
        }
        for model, part in results.by_model.items()
        for decoder in part.parts
        if not decoder.plain
    ]
    data = pd.DataFrame(records)
    models = list(dict.fromkeys(record["model"] for record in records))
    groups = data.groupby("setting", sort=False) if records else ()
    shown = pd.DataFrame([_line(part, models) for _, part in groups])
    caption = CAPTION.format(title=title, tpf_means=TPF_MEANS, rules=RULES)
    notes = results.of(lambda decoder: not decoder.plain).notes
    return Table(id, caption, data.drop(columns="setting", errors="ignore"), shown, notes=notes)


def _line(part: pd.DataFrame, models: list[str]) -> dict[str, str]:
    """One decoder over all models; a dash for a model on which it was not run or not compared."""
    compared = part[part.same_n.notna()] if "same_n" in part else part.iloc[:0]
    cells = {record["model"]: record for record in compared.to_dict("records")}

    def columns(title: str, text: Callable[[dict[str, Any]], str]) -> dict[str, str]:
        return {
            f"{title}: {model}" if len(models) > 1 else title: (
                text(cells[model]) if model in cells else "-"
            )
            for model in models
        }

    more = f"{compared.more_calls.sum():.0f}/{compared.same_n.sum():.0f}" if cells else "-"
    return {
        "decoder": part.decoder.iloc[0],
        "rule": rule(part.iloc[0]),
        **columns("same output as its policy", lambda r: f"{r['same']:.0f}/{r['same_n']:.0f}"),
        **columns("accuracy minus its policy's, points", _accuracy),
        "answers with more calls than it": more,
        **columns(
            "TPF over its policy's",
            lambda r: Estimate.of(r, "speedup", n="same_n").format(digits=2),
        ),
    }


def _accuracy(record: dict[str, Any]) -> str:
    if record["same"] == record["same_n"]:
        return "0 (same output)"
    return Estimate.of(record, "vs_policy", n="vs_policy_n").points
