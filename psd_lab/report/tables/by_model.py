"""The papers' main table: a line per model and decoder, accuracy and TPF for every task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from psd_lab.report.identity import Decoder
from psd_lab.report.numbers import means
from psd_lab.report.results import Results
from psd_lab.report.selector import select
from psd_lab.report.table import Table
from psd_lab.report.tables.wording import RULES, SECOND, TPF_MEANS, calls, rule, second_model

# The lines of the paper's own main table, in its order; thresholds as in the paper.
PAPER = (
    select(decoder="greedy"),
    select(decoder="confidence", threshold=0.9),
    select(decoder="local_leap"),
    select(decoder="lopa"),
    select(decoder="ete"),
    select(decoder="fdm"),
    select(decoder="spiffy"),
    select(decoder="psd", policy="confidence"),
    select(decoder="psd", policy="local_leap"),
)
CAPTION = (
    "{title} Cells: accuracy in % / TPF, {n} items each, the same for all decoders of a task."
    " {tpf_means}. ↓, ↑: accuracy below, above greedy's, where the paired 95 % interval"
    " (Bonett-Price) excludes 0. 95 % intervals are at most ±{accuracy:.1f} points (accuracy,"
    " Wilson) and ±{tpf:.2f} (TPF, bootstrap over items) wide; each one stands in the data. Means"
    " over tasks, and over models, are means of the cells, all with the same weight; costs are sums"
    " over all answers. `queries`: tokens that run through the model, padding left out. `same"
    " output`: completions that equal, token for token, that of the same policy without drafts."
    " {rules}.{second}"
)


def main(results: Results, id: str, title: str) -> Table:
    """One line per model and decoder, with accuracy and TPF side by side for every task.

    The last lines average over the models that ran greedy, for the decoders that all of them ran.
    """
    numbers = results.numbers
    mean = means(numbers)
    lines = [
        _line(results, cells)
        for table in (numbers, mean)
        for _, cells in table.groupby(["model", "setting"], sort=False)
    ]
    data = pd.concat([numbers, mean], ignore_index=True).drop(columns="setting")
    return Table(
        id,
        _caption(results, numbers, title),
        data,
        pd.DataFrame(lines),
        timed=("tokens/s",),
        notes=results.notes,
    )


def paper(results: Results, id: str, title: str) -> Table:
    """The main table with the lines of PSD's own one, in its order: greedy, policies alone,
    branches, Spiffy's chain, PSD.
    """
    place = {decoder: _place(decoder) for decoder in results.parts}
    kept = results.of(lambda decoder: place[decoder] is not None).frame
    models = {name: index for index, name in enumerate(results.models)}
    order = (kept.depth, kept.setting.map(place).astype(int), kept.model.map(models))
    return main(Results(kept.iloc[np.lexsort(order)]), id, title)


def headline(results: Results, id: str, title: str, depth: int = 3) -> Table:
    """The lines of the main table that a reader looks for first: everything without drafts, and one
    depth or number of branches.
    """
    return main(results.of(lambda d: d.depth == 0 or _level(d) == depth), id, title)


def _place(decoder: Decoder) -> int | None:
    found = (index for index, line in enumerate(PAPER) if line.matches(decoder))
    return next(found, None)


def _level(decoder: Decoder) -> int:
    return decoder.depth if decoder.branches is None else decoder.branches


def _caption(results: Results, numbers: pd.DataFrame, title: str) -> str:
    widest = {
        name: float((numbers[f"{name}_high"] - numbers[f"{name}_low"]).max() / 2)
        for name in ("accuracy", "tpf")
    }
    least, most = numbers.n.min(), numbers.n.max()
    return CAPTION.format(
        title=title,
        n=f"n = {least}" if least == most else f"n = {least} to {most}",
        accuracy=100 * widest["accuracy"],
        tpf=widest["tpf"],
        tpf_means=TPF_MEANS,
        rules=RULES,
        second=second_model(results),
    )


def _line(results: Results, cells: pd.DataFrame) -> dict[str, str]:
    """One model (or their mean) with one decoder: a cell per task, then what its calls cost."""
    one = cells.iloc[0]
    by_task = {cell.task: _accuracy_and_tpf(cell._asdict()) for cell in cells.itertuples()}
    return {
        "model": one.model,
        "decoder": one.decoder,
        "rule": rule(one),
        **{task: by_task.get(task, "-") for task in results.tasks},
        "mean of tasks": _accuracy_and_tpf(
            {"accuracy": cells.accuracy.mean(), "tpf": cells.tpf.mean()}
        ),
        **_costs(results, cells),
    }


def _costs(results: Results, cells: pd.DataFrame) -> dict[str, str]:
    """What the calls of one line cost over all tasks; dashes for a mean over models."""
    one = cells.iloc[0]
    second = [SECOND] if results.frame.second_nfe.any() else []
    names = ("calls", *second, "rows per call", "queries", "tokens/s", "same output")
    if one.model not in results.by_model:
        return dict.fromkeys(names, "-")
    rows = results.by_model[one.model].parts[one.setting]
    seconds = (rows.model_ms + rows.loop_ms).sum() / 1000
    compared = cells.same_n.sum() if "same_n" in cells else 0
    values = (
        f"{rows.nfe.mean():.1f}",
        *(calls(rows.second_nfe.mean()) for _ in second),
        f"{rows.rows.sum() / rows.nfe.sum():.2f}",
        f"{rows.query_tokens.mean():.0f}",
        f"{rows.tokens.sum() / seconds:.0f}" if seconds else "n/a",
        f"{cells.same.sum():.0f}/{compared:.0f}" if compared else "-",
    )
    return dict(zip(names, values, strict=True))


def _accuracy_and_tpf(numbers: Mapping[str, Any]) -> str:
    """`71.0↓ / 3.20`, the arrow where the difference to greedy is not 0."""
    low, high = numbers.get("vs_greedy_low", np.nan), numbers.get("vs_greedy_high", np.nan)
    mark = "↓" if high < 0 else "↑" if low > 0 else ""
    known = np.isfinite(numbers["accuracy"])
    accuracy = f"{100 * numbers['accuracy']:.1f}" if known else "n/a"
    return f"{accuracy}{mark} / {numbers['tpf']:.2f}"
