"""The unrounded numbers of one decoder in one cell (model and task), of which tables are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from psd_lab.report import naming, stats
from psd_lab.report.identity import GREEDY, Decoder, Family

if TYPE_CHECKING:
    from psd_lab.report.results import Results

DESCRIBED = ("decoder", "family", "point", "policy", "depth", "acceptor", "exact", "fidelity")


def summarise(cell: Results, decoder: Decoder) -> dict[str, Any]:
    """All numbers of one decoder on the items of `cell`; intervals as `<name>_low`, `<name>_high`.

    `setting` is the decoder itself.
    """
    ours = cell.parts[decoder]
    one, scored = ours.iloc[0], ours[ours.correct.notna()]
    seconds = (ours.model_ms + ours.loop_ms).sum() / 1000
    return {
        "model": one.model,
        "task": one.task,
        "setting": decoder,
        "decoder": one.label,
        "family": one.family,
        "point": one.point,
        "policy": naming.policy_title(one.policy),
        "depth": int(one.depth),
        "acceptor": one.acceptor,
        "exact": bool(one.exact),
        "fidelity": one.fidelity,
        "n": len(scored),
        "unscored": len(ours) - len(scored),
        **stats.wilson(int(scored.correct.sum()), len(scored)).columns("accuracy"),
        **stats.ratio(ours.tokens, ours.nfe).columns("tpf"),
        "tpf_mean_of_ratios": float((ours.tokens / ours.nfe).mean()),
        "nfe": float(ours.nfe.mean()),
        "second_nfe": float(ours.second_nfe.mean()),
        "tokens": float(ours.tokens.mean()),
        "rows_per_call": ours.rows.sum() / ours.nfe.sum(),
        "query_tokens_per_token": ours.query_tokens.sum() / max(int(ours.tokens.sum()), 1),
        "tokens_per_s": ours.tokens.sum() / seconds if seconds else stats.NAN,
        **_greedy_numbers(cell, decoder),
        **policy_numbers(cell, decoder),
    }


def policy_numbers(results: Results, decoder: Decoder) -> dict[str, Any]:
    """How a decoder compares with the same policy without drafts; empty where that was not run."""
    pair = results.against_policy(decoder)
    if pair is None:
        return {}
    same, n = pair.same
    return {
        "same": same,
        "same_n": n,
        "more_calls": pair.more_calls,
        **pair.tpf_ratio.columns("speedup"),
        **pair.accuracy_difference.columns("vs_policy"),
        "vs_policy_n": pair.accuracy_difference.n,
    }


def means(numbers: pd.DataFrame) -> pd.DataFrame:
    """Accuracy and TPF averaged over models, per task and decoder: the plain mean of the models'
    cells.

    Over the models that ran greedy, for decoders that all of them ran on the task; empty where
    there is one such model only.
    """
    models = list(numbers[numbers.family == Family(GREEDY)].model.unique())
    records = []
    for _, cells in numbers[numbers.model.isin(models)].groupby(["setting", "task"], sort=False):
        if len(models) > 1 and len(cells) == len(models):
            one = cells.iloc[0]
            records.append(
                {
                    "model": f"mean of {len(models)}",
                    **{key: one[key] for key in ("task", "setting", *DESCRIBED)},
                    "n": int(cells.n.sum()),
                    "accuracy": cells.accuracy.mean(),
                    "tpf": cells.tpf.mean(),
                }
            )
    return pd.DataFrame(records, columns=numbers.columns)


def _greedy_numbers(cell: Results, decoder: Decoder) -> dict[str, Any]:
    pair, base = cell.against_greedy(decoder), cell.greedy(decoder)
    if pair is None:
        return {}
    same, n = pair.same
    exact = bool(cell.parts[decoder].exact.iloc[0]) and (decoder.policy == base.policy)
    return {
        "same_as_greedy": exact and same == n,
        **pair.accuracy_difference.columns("vs_greedy"),
        "vs_greedy_n": len(pair.scored),
        "vs_greedy_p": pair.mcnemar,
    }
