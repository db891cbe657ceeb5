"""Prepare stored rows for reports, and gather those of several experiments.

Two rows belong to the same *item* when model, task and example id agree. The generation length is a
property of the task here: a decoder is the same decoder on every task, and rows of one task with
two lengths are refused. Likewise exact cache plans, and graphs that were calibrated for a model
each, count as the same decoder on every model. A decoder need not have run on every model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import pandas as pd

from psd_lab.report import catalog, naming
from psd_lab.report.identity import Decoder, Strategy
from psd_lab.report.pairs import ITEM
from psd_lab.report.results import Results
from psd_lib.errors import UserError

NEEDED = (
    "config_hash",
    "model",
    "task",
    "decoder",
    "label",
    "decode",
    "exact",
    "example_id",
    "tokens",
    "token_ids_hash",
    "correct",
    "nfe",
    "rows",
    "query_tokens",
    "model_ms",
    "loop_ms",
)
# Counts that older rows lack: none of their decoders had a second model.
LATER = ("second_nfe", "second_query_tokens")


def prepare(rows: pd.DataFrame) -> Results:
    """Say of every row which decoder it belongs to; one row per decoder and item is accepted.

    Columns added: `setting` (the `Decoder`), `family`, `policy` (its name, "greedy" or
    "autoregressive"), `depth` (0 = no drafts), `acceptor`, `point` (short text of the setting
    within its family), `greedy`, `plain` (nothing but a policy), `trained` (needs a second trained
    model), `gen_length`; `label` becomes one per decoder. Exact cache plans count as one, unless
    one model's rows hold several, which then are several decoders.

    Raises:
        UserError: a column is missing, no row is left, a task has two generation lengths, or an
            item occurs twice under one decoder.
    """
    missing = [name for name in NEEDED if name not in rows.columns]
    if missing:
        raise UserError(
            f"result rows lack the column(s) {', '.join(missing)}; rows written by this package"
            " have them."
        )
    if rows.empty:
        raise UserError(
            "there is no result row to report; run the experiment first, e.g. `psd reproduce --tier"
            " smoke`."
        )
    catalog.learn(rows.attrs.get("registered", {}))
    frame = rows.reset_index(drop=True)
    for name in LATER:
        frame[name] = frame[name].fillna(0).astype(int) if name in frame else 0
    frame = _described(frame, one_cache=True)
    if frame.duplicated(["setting", *ITEM]).any():
        frame = _described(frame, one_cache=False)
    _check_lengths(frame)
    twice = frame.duplicated(["setting", *ITEM])
    if twice.any():
        first = frame.loc[twice.idxmax()]
        raise UserError(
            f"item {first.example_id} occurs twice for {first.label}; one row per decoder and item"
            " is accepted."
        )
    return Results(frame)


def merge(*experiments: pd.DataFrame) -> Results:
    """Prepare the rows of several experiments together; what they share is kept once."""
    for rows in experiments:
        catalog.learn(rows.attrs.get("registered", {}))
    together = pd.concat(experiments, ignore_index=True)
    return prepare(together.drop_duplicates(["config_hash", "example_id"]))


def of(*names: str, tier: str, same_items: bool = True) -> Results:
    """Prepare the rows of several experiments at a tier, without those that the tier leaves out.

    A tier may give one experiment more items than another: `same_items` keeps those that all
    decoders of a model have in a task, so that a table compares like with like.

    Raises:
        UserError: the tier has none of them.
    """
    from psd_lab import runs

    kept = runs.Tier.load(tier).experiments
    here = [name for name in names if kept is None or name in kept]
    if not here:
        raise UserError(
            f"tier {tier} has none of the experiments {', '.join(names)}; it has {', '.join(kept)}."
        )
    results = merge(*(runs.experiment(name, tier=tier) for name in here))
    return results.shared_items() if same_items else results


def _check_lengths(frame: pd.DataFrame) -> None:
    lengths = frame.groupby("task").gen_length.unique()
    for task, several in lengths[lengths.map(len) > 1].items():
        raise UserError(
            f"rows of {task} have generation lengths {', '.join(str(n) for n in sorted(several))};"
            " one length per task is accepted."
        )


def _described(frame: pd.DataFrame, one_cache: bool) -> pd.DataFrame:
    settings = [
        Decoder.of(decode, model, one_cache)
        for decode, model in zip(frame["decode"], frame["model"], strict=True)
    ]
    facts = {decoder: _facts(decoder) for decoder in dict.fromkeys(settings)}
    columns = pd.DataFrame([facts[decoder] for decoder in settings], index=frame.index)
    columns["gen_length"] = [decode["gen_length"] for decode in frame["decode"]]
    kept = frame.drop(columns=[name for name in columns if name in frame])
    return pd.concat([kept, columns], axis=1).assign(label=_labels(settings, frame.label))


def _facts(decoder: Decoder) -> dict[str, Any]:
    return {
        "setting": decoder,
        "family": decoder.family,
        "policy": decoder.policy_kind,
        "depth": decoder.depth,
        "acceptor": decoder.acceptor.name if decoder.depth else "none",
        "point": naming.point(decoder),
        "plain": decoder.plain,
        "greedy": decoder.greedy,
        "trained": bool(decoder.models),
        "fidelity": decoder.fidelity,
    }


def _labels(settings: Iterable[Decoder], stored: Iterable[str]) -> list[str]:
    """One label per decoder: where labels coincide, what differs is added, such as `greedy,
    block_length 8`.
    """
    first: dict[Decoder, str] = {}
    for decoder, text in zip(settings, stored, strict=True):
        if decoder not in first:
            first[decoder] = naming.label(decoder, text)
    alike: dict[str, list[Decoder]] = {}
    for decoder, label in first.items():
        alike.setdefault(label, []).append(decoder)
    labels = {
        decoder: ", ".join([label, *_apart(decoder, alike[label])])
        for decoder, label in first.items()
    }
    return [labels[decoder] for decoder in settings]


def _apart(decoder: Decoder, others: list[Decoder]) -> list[str]:
    """What of a decoder is not the same in all the others."""
    names = [field.name for field in fields(Decoder)]
    values = {name: getattr(decoder, name) for name in names}
    return [
        f"{name} {value.name if isinstance(value, Strategy) else value}"
        for name, value in values.items()
        if any(value != getattr(other, name) for other in others)
    ]
