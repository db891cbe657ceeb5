"""Decides which rows belong to a decoder and which are its references, once `report.naming` has
said what it is.

Every other module of this room works on the frame that `prepare` returns. Two rows belong to the
same *item* when model, task and example id agree; they are comparable when, besides, everything but
the policy, the drafts and the acceptor agrees (block length, temperature, seed, cache). The
generation length is a property of the task here: a decoder is the same decoder on every task, and
rows of one task with two lengths are refused. So is the cache plan a property of the model, where
plans change no decision, and the graph that was calibrated for a model: a decoder is the same
decoder on every model. A decoder need not have run on every model.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from psd_lab.report.kept import per_frame
from psd_lab.report.naming import AUTOREGRESSIVE, NAMES, describe
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
ITEM = ["model", "task", "example_id"]
COMPARED = ["tokens", "token_ids_hash", "correct", "nfe", "step_stats"]
LATER = (
    "second_nfe",
    "second_query_tokens",
)  # counts that older rows do not have: no decoder of theirs had a second model


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds the derived columns that tables, figures and claims group by; one row per (decoder,
    item).

    Added: `setting` (names the decoder with all its options, on every model and task), `policy`
    (display name), `family` (policy with what is stacked on it), `depth` (0 = no drafts),
    `acceptor`, `point` (short label of the setting within its family), `greedy`, `policy_key` and
    `context_key` (what a reference must share: policy and context, or context), `fidelity` and
    `notes` (what is our reading of the decoder), `trained` (it needs a second trained model). Exact
    cache plans count as one, unless the rows of one model hold several, which are several decoders
    then.

    Raises:
        UserError: a column is missing, no row is left, a task has two generation lengths, or an
            item occurs twice under
            one decoder.
    """
    missing = [c for c in NEEDED if c not in rows.columns]
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
    frame = rows.reset_index(drop=True)
    for name in LATER:
        frame[name] = frame[name].fillna(0).astype(int) if name in frame else 0
    frame = _described(frame, one_cache=True)
    if frame.duplicated(["setting", *ITEM]).any():
        frame = _described(frame, one_cache=False)
    lengths = frame.groupby("task").gen_length.unique()
    for task, found in lengths[lengths.map(len) > 1].items():
        raise UserError(
            f"rows of {task} have generation lengths {', '.join(str(n) for n in sorted(found))};"
            " one length per task is accepted."
        )
    twice = frame.duplicated(["setting", *ITEM])
    if twice.any():
        first = frame.loc[twice.idxmax()]
        raise UserError(
            f"item {first.example_id} occurs twice for {first.label}; one row per decoder and item"
            " is accepted."
        )
    return frame


def merge(*experiments: pd.DataFrame) -> pd.DataFrame:
    """Prepared rows of several experiments together; what they share is kept once."""
    return prepare(
        pd.concat(experiments, ignore_index=True).drop_duplicates(["config_hash", "example_id"])
    )


def of(*names: str, tier: str, same_items: bool = True) -> pd.DataFrame:
    """Prepared rows of several experiments at a tier, without those that the tier leaves out.

    A tier may give one experiment more items than another: `same_items` keeps those that all
    decoders of a model have in a task, so that a table compares like with like.

    Raises:
        UserError: the tier has none of them.
    """
    from psd_lab import runs

    told = runs.Tier.load(tier).experiments
    here = [name for name in names if told is None or name in told]
    if not here:
        raise UserError(
            f"tier {tier} has none of the experiments {', '.join(names)}; it has {', '.join(told)}."
        )
    frame = merge(*(runs.experiment(name, tier=tier) for name in here))
    return shared(frame) if same_items else frame


def shared(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the items that every decoder of the model has in the task."""
    cell = frame.groupby(["model", "task"])
    ran = frame.groupby(ITEM).setting.transform("size")
    return frame[ran == cell.setting.transform("nunique")].reset_index(drop=True)


def models(frame: pd.DataFrame) -> list[str]:
    """The models of the rows, in the order of their first appearance."""
    return list(frame.model.unique())


def by_model(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """(model, its rows), in the order of first appearance."""
    return [(str(name), part) for name, part in frame.groupby("model", sort=False)]


def find(frame: pd.DataFrame, **wanted) -> str | None:
    """The first decoder whose derived columns have the wanted values, e.g. family and depth; None
    if it was not run.
    """
    found = frame[(frame[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    return None if found.empty else found.setting.iloc[0]


@per_frame
def parts(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of every decoder under its `setting`, in the order of first appearance."""
    return {str(setting): part for setting, part in frame.groupby("setting", sort=False)}


def own_policy(frame: pd.DataFrame, setting: str) -> pd.DataFrame | None:
    """Rows of the same policy without drafts and stop rule, or None when they were not run."""
    return _reference(frame, "policy_key", setting)


def greedy(frame: pd.DataFrame, setting: str) -> pd.DataFrame | None:
    """Rows of one-token-per-step decoding in the same context, or None when they were not run."""
    return _reference(frame, "context_key", setting)


def notes(frame: pd.DataFrame) -> tuple[str, ...]:
    """What is reconstructed or adapted in the decoders of these rows, each sentence once, in the
    order of the rows.

    A sentence that does not name its method, such as an acceptor's, is told by the first decoder
    that has it.
    """
    told: dict[str, str] = {}
    for one in frame.drop_duplicates("setting").itertuples():
        method = NAMES.get(one.decoder, one.decoder)
        for note in one.notes:
            told.setdefault(note, note if method.lower() in note.lower() else f"{method}: {note}")
    return tuple(told.values())


def common(ours: pd.DataFrame, base: pd.DataFrame, scored: bool = False) -> pd.DataFrame:
    """Both decoders' `COMPARED` columns on the items they share, suffixed `_ours` and `_base`, in a
    fixed order.

    Args:
        scored: keep only items whose score exists on both sides (an infrastructure failure is no
            zero).
    """
    # By hand, because a table asks for hundreds of pairs and a merge costs more than everything
    # else.
    (mine, left), (theirs, right) = _items(ours), _items(base)
    shared = sorted(mine.keys() & theirs.keys())
    sides = (
        (left, [mine[key] for key in shared], "ours"),
        (right, [theirs[key] for key in shared], "base"),
    )
    both = pd.DataFrame(
        {name: [key[at] for key in shared] for at, name in enumerate(ITEM)}
        | {f"{name}_{side}": columns[name][at] for columns, at, side in sides for name in COMPARED}
    )
    if scored:
        both = both[both.correct_ours.notna() & both.correct_base.notna()]
    return both.reset_index(drop=True)


@per_frame
def _items(rows: pd.DataFrame) -> tuple[dict[tuple, int], dict[str, np.ndarray]]:
    """Where each item stands in one decoder's rows, and the `COMPARED` columns."""
    place = {key: at for at, key in enumerate(zip(*(rows[name] for name in ITEM), strict=True))}
    return place, {name: rows[name].to_numpy() for name in COMPARED}


def _described(frame: pd.DataFrame, one_cache: bool) -> pd.DataFrame:
    facts = pd.DataFrame(
        [
            describe(*one)
            for one in zip(frame["decode"], [one_cache] * len(frame), frame["model"], strict=True)
        ],
        index=frame.index,
    )
    frame = pd.concat([frame.drop(columns=[c for c in facts if c in frame]), facts], axis=1)
    # Without drafts `psd` is its policy, and is called so.
    frame["label"] = frame.label.str.replace(r"^psd\((.*), d=0\)$", r"\1", regex=True)
    frame.loc[frame.policy == AUTOREGRESSIVE, "label"] = AUTOREGRESSIVE
    return frame.assign(label=frame.setting.map(_labels(frame)))


def _labels(frame: pd.DataFrame) -> dict[str, str]:
    """One label per setting: where labels coincide, what differs is added, such as `greedy,
    block_length 8`.
    """
    found = {}
    for label, part in frame.drop_duplicates("setting").groupby("label", sort=False):
        decodes = {setting: json.loads(setting) for setting in part.setting}
        for setting, decode in decodes.items():
            apart = [
                key
                for key in decode
                if any(decode[key] != other.get(key) for other in decodes.values())
            ]
            values = {
                key: decode[key]["name"] if isinstance(decode[key], dict) else decode[key]
                for key in apart
            }
            found[setting] = ", ".join(
                [label, *(f"{key} {value}" for key, value in values.items())]
            )
    return found


def _reference(frame: pd.DataFrame, key: str, setting: str) -> pd.DataFrame | None:
    own, references = _references(frame)[key]
    return parts(frame).get(references.get(own[setting]))


@per_frame
def _references(frame: pd.DataFrame) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Per key: what each setting has, and the first setting that stands for it, where several names
    stand for one decoder.
    """
    first = frame.drop_duplicates("setting").set_index("setting")
    found = {}
    for key, stands in (("policy_key", "plain"), ("context_key", "greedy")):
        usable = first[first[stands].astype(bool)].drop_duplicates(key)
        found[key] = (
            dict(first[key]),
            {value: str(setting) for setting, value in usable[key].items()},
        )
    return found
