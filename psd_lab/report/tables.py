"""Decides what the project's tables say. Each function takes prepared rows (`report.rows`) and
returns a `Table`.

TPF is tokens before the first EOS, summed over the items, over model calls summed over the same
items. A batched verification counts as one call, and its rows are reported beside it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from psd_lab.report import rows as rows_of
from psd_lab.report import stats
from psd_lab.report.kept import per_frame
from psd_lab.report.stats import Estimate
from psd_lab.report.table import Table

TPF_MEANS = (
    "TPF = tokens before the first EOS, summed over items, per model call (a batched verification"
    " is one call)"
)
INTERVALS = (
    "Brackets are 95 % intervals: Wilson for accuracy, Bonett-Price for its paired difference to"
    " greedy, bootstrap over items for TPF"
)
RULES = (
    "`exact`: outputs provably the policy's own; `approximate`: not; `policy`: no drafts;"
    " `reconstructed`: not all of the method is published, and this is our reading"
)

SECOND = "second model's calls"
RECONSTRUCTED = "reconstructed"
PAPER = (
    "greedy",
    "confidence",
    "LocalLeap",
    "LoPA",
    "ETE",
    "FDM",
    "Spiffy chain",
    "PSD (confidence)",
    "PSD (LocalLeap)",
)


def summary(frame: pd.DataFrame, id: str, title: str) -> Table:
    """Per model, task and decoder: accuracy, its paired difference to greedy, TPF and what the
    calls cost.
    """
    records = cells(frame)
    data = pd.DataFrame(records)
    shown = pd.DataFrame([_shown_summary(r, bool(frame.second_nfe.any())) for r in records])
    caption = (
        f"{title} {TPF_MEANS}. {INTERVALS}. `same output`: items on which the completion equals,"
        f" token for token, that of the same policy without drafts. {RULES}." + second(frame)
    )
    return Table(id, caption, data, shown, timed=("tokens/s",), notes=rows_of.notes(frame))


def main(frame: pd.DataFrame, id: str, title: str) -> Table:
    """The papers' main table: one line per model and decoder, accuracy and TPF side by side for
    every task.

    The last lines average over the models that ran greedy, for the decoders that all of them ran.
    """
    records = pd.DataFrame(cells(frame))
    lines = [
        _main_line(frame, part) for _, part in records.groupby(["model", "decoder"], sort=False)
    ]
    mean = means(records)
    lines += [_main_line(frame, part) for _, part in mean.groupby("decoder", sort=False)]
    widest = {
        name: float((records[f"{name}_high"] - records[f"{name}_low"]).max() / 2)
        for name in ("accuracy", "tpf")
    }
    n = f"n = {records.n.min()}" + (
        f" to {records.n.max()}" if records.n.max() > records.n.min() else ""
    )
    caption = (
        f"{title} Cells: accuracy in % / TPF, {n} items each, the same for all decoders of a task."
        f" {TPF_MEANS}. ↓, ↑: accuracy below, above greedy's, where the paired 95 % interval"
        f" (Bonett-Price) excludes 0. 95 % intervals are at most ±{100 * widest['accuracy']:.1f}"
        f" points (accuracy, Wilson) and ±{widest['tpf']:.2f} (TPF, bootstrap over items) wide;"
        " each one stands in the data. Means over tasks, and over models, are means of the cells,"
        " all with the same weight; costs are sums over all answers. `queries`: tokens that run"
        " through the model, padding left out. `same output`: completions that equal, token for"
        f" token, that of the same policy without drafts. {RULES}." + second(frame)
    )
    return Table(
        id,
        caption,
        pd.concat([records, mean], ignore_index=True),
        pd.DataFrame(lines),
        timed=("tokens/s",),
        notes=rows_of.notes(frame),
    )


def paper(frame: pd.DataFrame, id: str, title: str) -> Table:
    """The main table with the lines of PSD's own one, in its order: greedy, policies alone,
    branches, Spiffy's chain, PSD.
    """
    family, point = frame.family, frame.point
    alone = (
        (family == "greedy")
        | ((family == "confidence") & (point == "0.9"))
        | (family == "LocalLeap")
    )
    stacked = family.isin(PAPER) & ~frame.plain
    order = {name: at for at, name in enumerate(PAPER)}
    lines = frame[alone | stacked]
    lines = lines.iloc[np.lexsort((lines.depth, lines.family.map(order)))]
    models = {name: at for at, name in enumerate(rows_of.models(frame))}
    return main(
        lines.sort_values("model", key=lambda names: names.map(models), kind="stable"), id, title
    )


def headline(frame: pd.DataFrame, id: str, title: str, depth: int = 3) -> Table:
    """The lines of the main table that a reader looks for first: everything without drafts, and one
    depth or number of branches.
    """
    return main(
        frame[(frame.depth == 0) | frame.point.isin((f"d={depth}", f"k={depth}"))], id, title
    )


def means(records: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and TPF averaged over models, per task and decoder: the plain mean of the models'
    cells.

    Over the models that ran greedy, for decoders that all of them ran on the task; empty where
    there is one such model only.
    """
    whole = list(records[records.family == "greedy"].model.unique())
    found = []
    for _, part in records[records.model.isin(whole)].groupby(["decoder", "task"], sort=False):
        if len(whole) > 1 and len(part) == len(whole):
            one = part.iloc[0]
            kept = {
                key: one[key]
                for key in (
                    "task",
                    "decoder",
                    "family",
                    "point",
                    "policy",
                    "depth",
                    "acceptor",
                    "exact",
                    "fidelity",
                )
            }
            found.append(
                {
                    "model": f"mean of {len(whole)}",
                    **kept,
                    "n": int(part.n.sum()),
                    "accuracy": part.accuracy.mean(),
                    "tpf": part.tpf.mean(),
                }
            )
    return pd.DataFrame(found, columns=records.columns)


def cells(frame: pd.DataFrame) -> list[dict]:
    """The numbers of every decoder on every model and task."""
    return [dict(record) for record in _cells(frame)]


@per_frame
def _cells(frame: pd.DataFrame) -> list[dict]:
    return [
        summarise(part, setting)
        for _, part in frame.groupby(["model", "task"], sort=False)
        for setting in rows_of.parts(part)
    ]


def summarise(part: pd.DataFrame, setting: str) -> dict:
    """All numbers of one decoder on the items of `part`, unrounded; intervals as `<name>_low`,
    `<name>_high`.
    """
    ours = rows_of.parts(part)[setting]
    one, scored = ours.iloc[0], ours[ours.correct.notna()]
    seconds = (ours.model_ms + ours.loop_ms).sum() / 1000
    record = {
        "model": one.model,
        "task": one.task,
        "decoder": one.label,
        "family": one.family,
        "point": one.point,
        "policy": one.policy,
        "depth": int(one.depth),
        "acceptor": one.acceptor,
        "exact": bool(one.exact),
        "fidelity": one.fidelity,
        "n": len(scored),
        "unscored": len(ours) - len(scored),
        **_spread("accuracy", stats.wilson(int(scored.correct.sum()), len(scored))),
        **_spread("tpf", stats.ratio(ours.tokens, ours.nfe)),
        "tpf_mean_of_ratios": float((ours.tokens / ours.nfe).mean()),
        "nfe": float(ours.nfe.mean()),
        "second_nfe": float(ours.second_nfe.mean()),
        "tokens": float(ours.tokens.mean()),
        "rows_per_call": ours.rows.sum() / ours.nfe.sum(),
        "query_tokens_per_token": ours.query_tokens.sum() / max(int(ours.tokens.sum()), 1),
        "tokens_per_s": ours.tokens.sum() / seconds if seconds else float("nan"),
    }
    record |= _against_greedy(part, ours, setting)
    record |= _against_policy(part, ours, setting)
    return record


def exactness(frame: pd.DataFrame, id: str, title: str) -> Table:
    """Per drafting decoder and model, over all tasks: same output as its policy, what another
    output costs in accuracy, calls saved.

    A decoder whose policy was not run alone has a line without counts, so that nobody takes it for
    compared.
    """
    records = []
    for model, part in rows_of.by_model(frame):
        for setting in part[~part.plain].setting.unique():
            ours = rows_of.parts(part)[setting]
            one = ours.iloc[0]
            records.append(
                {
                    "model": model,
                    "decoder": one.label,
                    "depth": int(one.depth),
                    "exact": bool(one.exact),
                    "fidelity": one.fidelity,
                    **_against_policy(part, ours, setting),
                }
            )
    data = pd.DataFrame(records)
    names = [name for name in rows_of.models(frame) if records and name in set(data.model)]
    shown = pd.DataFrame(
        [_exactness_line(part, names) for _, part in data.groupby("decoder", sort=False)]
        if records
        else []
    )
    caption = (
        f"{title} Each decoder against the same policy without drafts, on the same items, all tasks"
        f" together; `-`: not run on this model, or its policy was not run alone. {TPF_MEANS}."
        " Brackets: 95 % paired intervals (Bonett-Price for accuracy, bootstrap over items for"
        f" TPF). {RULES}."
    )
    return Table(id, caption, data, shown, notes=rows_of.notes(frame[~frame.plain]))


def precision(ranking: pd.DataFrame, id: str, title: str) -> Table:
    """Precision@K of the confidence ranking: one line per model and K, one column per age of the
    ranking.
    """
    cells = ranking.assign(
        text=[
            Estimate(r.precision, r.low, r.high, r.states).format(100) for r in ranking.itertuples()
        ]
    )
    wide = (
        cells.pivot(index=["model", "k"], columns="lag", values="text")
        .fillna("-")
        .loc[list(ranking.model.unique())]
    )
    wide.columns = [
        "fresh, %" if lag == 0 else f"{lag} step{'s' if lag > 1 else ''} old, %"
        for lag in wide.columns
    ]
    chance = ranking[ranking.lag == 0].set_index(["model", "k"])
    shown = wide.assign(
        **{"random, %": (100 * chance.chance).map("{:.1f}".format), "states (fresh)": chance.states}
    )
    caption = (
        f"{title} Precision@K: of the K positions ranked first, the share that greedy commits in"
        " its next K steps. Brackets: 95 % bootstrap over answers."
    )
    return Table(id, caption, ranking, shown.reset_index().rename(columns={"k": "K"}))


def _against_greedy(part: pd.DataFrame, ours: pd.DataFrame, setting: str) -> dict:
    base = rows_of.greedy(part, setting)
    if base is None or base.setting.iloc[0] == setting:
        return {}
    both = rows_of.common(ours, base, scored=True)
    right = both.correct_ours.astype(float), both.correct_base.astype(float)
    same, n = stats.same_count(both.token_ids_hash_ours, both.token_ids_hash_base)
    exact = bool(ours.exact.iloc[0]) and ours.policy_key.iloc[0] == base.policy_key.iloc[0]
    return {
        "same_as_greedy": exact and same == n,
        **_spread("vs_greedy", stats.accuracy_difference(*right)),
        "vs_greedy_n": len(both),
        "vs_greedy_p": stats.mcnemar(*right) if len(both) else float("nan"),
    }


def _against_policy(part: pd.DataFrame, ours: pd.DataFrame, setting: str) -> dict:
    base = rows_of.own_policy(part, setting)
    if base is None or base.setting.iloc[0] == setting:
        return {}
    both = rows_of.common(ours, base)
    same, n = stats.same_count(both.token_ids_hash_ours, both.token_ids_hash_base)
    gain = stats.ratio_of_ratios(
        (both.tokens_ours, both.nfe_ours), (both.tokens_base, both.nfe_base)
    )
    scored = both[both.correct_ours.notna() & both.correct_base.notna()]
    moved = stats.accuracy_difference(
        scored.correct_ours.astype(float), scored.correct_base.astype(float)
    )
    return {
        "same": same,
        "same_n": n,
        "more_calls": int((both.nfe_ours > both.nfe_base).sum()),
        **_spread("speedup", gain),
        **_spread("vs_policy", moved),
        "vs_policy_n": moved.n,
    }


def _main_line(frame: pd.DataFrame, cells: pd.DataFrame) -> dict:
    """One model (or their mean) with one decoder: a cell per task, then what its calls cost over
    all tasks.
    """
    one, second = cells.iloc[0], bool(frame.second_nfe.any())
    by_task = {cell.task: _cell(cell._asdict()) for cell in cells.itertuples()}
    line = {
        "model": one.model,
        "decoder": one.decoder,
        "rule": rule(one),
        **{task: by_task.get(task, "-") for task in frame.task.unique()},
        "mean of tasks": _cell({"accuracy": cells.accuracy.mean(), "tpf": cells.tpf.mean()}),
    }
    rows = frame[(frame.model == one.model) & (frame.label == one.decoder)]
    if rows.empty:
        return line | dict.fromkeys(
            (
                "calls",
                *([SECOND] if second else []),
                "rows per call",
                "queries",
                "tokens/s",
                "same output",
            ),
            "-",
        )
    seconds = (rows.model_ms + rows.loop_ms).sum() / 1000
    counted = cells.get("same_n", pd.Series(dtype=float)).sum()
    return line | {
        "calls": f"{rows.nfe.mean():.1f}",
        **({SECOND: _count(rows.second_nfe.mean())} if second else {}),
        "rows per call": f"{rows.rows.sum() / rows.nfe.sum():.2f}",
        "queries": f"{rows.query_tokens.mean():.0f}",
        "tokens/s": f"{rows.tokens.sum() / seconds:.0f}" if seconds else "n/a",
        "same output": f"{cells.same.sum():.0f}/{counted:.0f}" if counted else "-",
    }


def _cell(r: dict) -> str:
    low, high = r.get("vs_greedy_low", np.nan), r.get("vs_greedy_high", np.nan)
    mark = "↓" if high < 0 else "↑" if low > 0 else ""
    accuracy = f"{100 * r['accuracy']:.1f}" if np.isfinite(r["accuracy"]) else "n/a"
    return f"{accuracy}{mark} / {r['tpf']:.2f}"


def _exactness_line(part: pd.DataFrame, models: list[str]) -> dict:
    """One decoder over all models; a dash for a model on which it was not run or not compared."""
    name = "{}: {}".format if len(models) > 1 else "{}".format
    compared = part[part.same_n.notna()] if "same_n" in part else part.iloc[:0]
    cells = {r["model"]: r for r in compared.to_dict("records")}

    def column(title: str, text) -> dict[str, str]:
        return {
            name(title, model): text(cells[model]) if model in cells else "-" for model in models
        }

    more = f"{compared.more_calls.sum():.0f}/{compared.same_n.sum():.0f}" if cells else "-"
    return {
        "decoder": part.decoder.iloc[0],
        "rule": rule(part.iloc[0]),
        **column("same output as its policy", lambda r: f"{r['same']:.0f}/{r['same_n']:.0f}"),
        **column(
            "accuracy minus its policy's, points",
            lambda r: (
                "0 (same output)"
                if r["same"] == r["same_n"]
                else _read(r, "vs_policy", int(r["vs_policy_n"])).format(100, 1, sign=True)
            ),
        ),
        "answers with more calls than it": more,
        **column(
            "TPF over its policy's",
            lambda r: _read(r, "speedup", int(r["same_n"])).format(digits=2),
        ),
    }


def _shown_summary(r: dict, second: bool) -> dict:
    greedy = "-"
    if "vs_greedy" in r:
        greedy = (
            "0 (same output)"
            if r["same_as_greedy"]
            else _read(r, "vs_greedy", r["vs_greedy_n"]).format(100, 1, sign=True)
        )
    return {
        "model": r["model"],
        "task": r["task"],
        "decoder": r["decoder"],
        "n": r["n"],
        "accuracy %": _read(r, "accuracy").format(100),
        "minus greedy, points": greedy,
        "TPF": _read(r, "tpf").format(digits=2),
        **({SECOND: _count(r["second_nfe"])} if second else {}),
        "rows per call": f"{r['rows_per_call']:.2f}",
        "queries per token": f"{r['query_tokens_per_token']:.1f}",
        "tokens/s": f"{r['tokens_per_s']:.0f}",
        "same output": f"{r['same']}/{r['same_n']}" if "same" in r else "-",
        "rule": rule(r),
    }


def second(frame: pd.DataFrame) -> str:
    """What the caption says of second models; nothing where there is none."""
    return (
        " TPF and `calls` leave out a second model's (a judge's, a draft model's), which tables"
        f" show as `{SECOND}`, per answer."
        if frame.second_nfe.any()
        else ""
    )


def _count(calls: float) -> str:
    return f"{calls:.1f}" if calls else "-"


def rule(record: dict | pd.Series) -> str:
    """How sure it is that the output is the policy's, and whether the method is our reading."""
    guarantee = "approximate" if not record["exact"] else "exact" if record["depth"] else "policy"
    return f"{guarantee}, {RECONSTRUCTED}" if record["fidelity"] == RECONSTRUCTED else guarantee


def _spread(name: str, estimate: Estimate) -> dict:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _read(record: dict, name: str, n: int | None = None) -> Estimate:
    found = (record.get(key, np.nan) for key in (name, f"{name}_low", f"{name}_high"))
    return Estimate(*found, n=record["n"] if n is None else n)
