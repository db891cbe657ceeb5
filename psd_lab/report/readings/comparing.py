"""How decoders, models and claims compare."""

from __future__ import annotations

from psd_lab.report import best, paradigms
from psd_lab.report.evidence import NOT_REPRODUCED, NOT_TESTED, PARTIALLY, REPRODUCED
from psd_lab.report.figures.tradeoff import points
from psd_lab.report.identity import GREEDY, Family
from psd_lab.report.readings.reading import Reading, exactness, resolution
from psd_lab.report.results import Results
from psd_lab.report.stats import Estimate
from psd_lab.report.table import Table

WON = (
    "At greedy's accuracy PSD has a higher TPF than every other training-free decoder on {won} of"
    " {cells} cells; on {sure} of them the paired interval of the ratio lies above 1."
)
SECOND = "Calls of a second trained model per answer, which TPF leaves out: {calls}."
FIRST_DRAFT = "Calls that accept the first draft of a greedy step, most first: {models}."
CONTRAST = (
    "{model}: the fastest exact decoder within {near:.0f} point of greedy's accuracy is {decoder},"
    " with TPF {tpf:.2f} against greedy's {greedy:.2f} (accuracy difference {difference} points,"
    " n = {n})."
)
SMALLEST = (
    "The smallest sample behind a verdict has n = {n}; `partially` often means that n is too small"
    " for the interval the rule asks for."
)


def comparison(results: Results, everything: Results | None = None) -> Reading:
    """Whether drafts changed outputs, which decoder is the fastest at greedy's accuracy, and why
    PSD is not where it is not.

    Outputs are counted in `everything` (default: `results`), which may have items that not all
    decoders have.
    """
    drafted = everything or results
    data = best.cells(results)
    won, sure = int(data.won.sum()), int((data.ratio_low > 1).sum())
    calls = results.frame.groupby("label", sort=False).second_nfe.mean()
    second = ", ".join(f"{label} {mean:.1f}" for label, mean in calls[calls > 0].items())
    return Reading.of(
        exactness(drafted, True),
        exactness(drafted, False),
        WON.format(won=won, cells=len(data), sure=sure),
        *(_cell(row) for row in data.itertuples()),
        SECOND.format(calls=second) if second else "",
        resolution(points(results)),
    )


def contrast(results: Results) -> Reading:
    """Which model drafts and parallel steps suit best, and what equal accuracy costs on each."""
    drafts, data = paradigms.survival(results), paradigms.tradeoff(results)
    first = drafts[drafts.depth == 1].sort_values("survival", ascending=False)
    models = ", ".join(
        f"{row.model} {Estimate.of(row, 'survival', 'low', 'high').format(100)} %"
        for row in first.itertuples()
    )
    found = [FIRST_DRAFT.format(models=models)]
    for model, part in data.groupby("model", sort=False):
        fastest = paradigms.fastest(part)
        found.append(
            CONTRAST.format(
                model=model,
                near=100 * paradigms.NEAR,
                decoder=fastest.decoder,
                tpf=fastest.tpf,
                greedy=part[part.family == Family(GREEDY)].tpf.iloc[0],
                difference=Estimate.of(fastest, "difference").points,
                n=int(fastest.n),
            )
        )
    return Reading.of(*found)


def verdicts(table: Table) -> Reading:
    """How many claims hold, and which do not."""
    counts = table.shown.verdict.value_counts()
    order = [v for v in (REPRODUCED, PARTIALLY, NOT_REPRODUCED, NOT_TESTED) if v in counts]
    count = ", ".join(f"{counts[verdict]} {verdict}" for verdict in order)
    failed = table.shown[table.shown.verdict == NOT_REPRODUCED].claim
    tested = table.data[(table.data.n > 0) & (table.data.task != "")]
    return Reading.of(
        f"Of {len(table.shown)} claims: {count}.",
        *(f"Not reproduced: {claim}" for claim in failed),
        "" if tested.empty else SMALLEST.format(n=int(tested.n.min())),
    )


def _cell(row) -> str:
    """One cell of `best.cells` as a sentence."""
    gain = Estimate.of(row, "ratio").format(digits=2)
    where = f"{row.model}, {row.task}"
    if row.won:
        return f"{where}: {row.ours}, {gain} times the TPF of {row.other}."
    return f"{where}: not won{f' (ratio {gain})' if row.ours else ''}: {row.why}."
