"""Decides what a result row says about its decoder: family, policy, depth, and which rows are its references.

Every other module of this room works on the frame that `prepare` returns. Two rows belong to the same *item* when
model, task and example id agree; they are comparable when, besides, everything but the policy, the drafts and the
acceptor agrees (block length, temperature, seed, cache). The generation length is a property of the task here: a decoder
is the same decoder on every task, and rows of one task with two lengths are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from psd_lib.errors import UserError

NEEDED = ("config_hash", "model", "task", "decoder", "label", "decode", "exact", "example_id", "tokens",
          "token_ids_hash", "correct", "nfe", "rows", "query_tokens", "model_ms", "loop_ms")
ITEM = ["model", "task", "example_id"]
POLICY_NAMES = {"confidence": "confidence", "local_leap": "LocalLeap", "left_to_right": "left-to-right",
                "top_k": "top-k"}


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds the derived columns that tables, figures and claims group by; one row per (decoder, item).

    Added: `setting` (names the decoder with all its options, on every task), `policy` (display name), `family` (policy
    with what is stacked on it), `depth` (0 = no drafts), `acceptor`, `point` (short label of the setting within its
    family), `greedy`, `policy_key` and `context_key` (what a reference must share: policy and context, or context).

    Raises:
        UserError: a column is missing, no row is left, a task has two generation lengths, or an item occurs twice under
            one decoder.
    """
    missing = [c for c in NEEDED if c not in rows.columns]
    if missing:
        raise UserError(f"result rows lack the column(s) {', '.join(missing)}; rows written by this package have them.")
    if rows.empty:
        raise UserError("there is no result row to report; run the experiment first, e.g. `psd reproduce --tier smoke`.")
    frame = rows.reset_index(drop=True)
    facts = pd.DataFrame([describe(d) for d in frame["decode"]], index=frame.index)
    frame = pd.concat([frame.drop(columns=[c for c in facts if c in frame]), facts], axis=1)
    lengths = frame.groupby("task").gen_length.unique()
    for task, found in lengths[lengths.map(len) > 1].items():
        raise UserError(f"rows of {task} have generation lengths {', '.join(str(n) for n in sorted(found))}; one length per task is accepted.")
    # Without drafts `psd` is its policy, and is called so.
    frame["label"] = frame.label.str.replace(r"^psd\((.*), d=0\)$", r"\1", regex=True)
    twice = frame.duplicated(["setting", *ITEM])
    if twice.any():
        first = frame.loc[twice.idxmax()]
        raise UserError(f"item {first.example_id} occurs twice for {first.label}; one row per decoder and item is accepted.")
    return frame


def merge(*experiments: pd.DataFrame) -> pd.DataFrame:
    """Prepared rows of several experiments together; what they share is kept once."""
    return prepare(pd.concat(experiments, ignore_index=True).drop_duplicates(["config_hash", "example_id"]))


def describe(decode: Mapping[str, Any]) -> dict[str, Any]:
    """Reads one `DecodeConfig.to_dict()`: names for people, keys for finding the reference rows."""
    policy, builder = decode["policy"], decode["builder"]
    depth = int(builder.get("depth", 0))
    acceptor = decode["acceptor"]["name"]
    one_by_one = policy["name"] == "top_k" and policy["k"] == 1
    name = "greedy" if one_by_one else POLICY_NAMES.get(policy["name"], policy["name"])
    context = {k: v for k, v in decode.items() if k not in ("decoder", "policy", "builder", "acceptor", "gen_length")}
    context_key = json.dumps(context, sort_keys=True)
    return {
        "setting": json.dumps({**decode, "gen_length": None}, sort_keys=True),
        "gen_length": decode["gen_length"],
        "policy": name,
        "greedy": one_by_one and depth == 0,
        "depth": depth,
        "acceptor": acceptor if depth else "none",
        "family": _family(name, depth, acceptor),
        "point": _point(policy, name, depth),
        "policy_key": json.dumps(policy, sort_keys=True) + context_key,
        "context_key": context_key,
    }


def find(frame: pd.DataFrame, **wanted) -> str | None:
    """The first decoder whose derived columns have the wanted values, e.g. family and depth; None if it was not run."""
    found = frame[(frame[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    return None if found.empty else found.setting.iloc[0]


def own_policy(frame: pd.DataFrame, setting: str) -> pd.DataFrame | None:
    """Rows of the same policy without drafts, or None when they were not run."""
    one = frame[frame.setting == setting].iloc[0]
    return _first_setting(frame[(frame.policy_key == one.policy_key) & (frame.depth == 0)])


def greedy(frame: pd.DataFrame, setting: str) -> pd.DataFrame | None:
    """Rows of one-token-per-step decoding in the same context, or None when they were not run."""
    one = frame[frame.setting == setting].iloc[0]
    return _first_setting(frame[(frame.context_key == one.context_key) & frame.greedy])


def common(ours: pd.DataFrame, base: pd.DataFrame, scored: bool = False) -> pd.DataFrame:
    """Both decoders' rows on the items they share, suffixed `_ours` and `_base`, in a fixed order.

    Args:
        scored: keep only items whose score exists on both sides (an infrastructure failure is no zero).
    """
    both = ours.merge(base, on=ITEM, suffixes=("_ours", "_base"), validate="one_to_one").sort_values(ITEM)
    if scored:
        both = both[both.correct_ours.notna() & both.correct_base.notna()]
    return both.reset_index(drop=True)


def _first_setting(found: pd.DataFrame) -> pd.DataFrame | None:
    """One decoder's rows, where several names stand for the same decoder (greedy, psd with depth 0)."""
    return None if found.empty else found[found.setting == found.setting.iloc[0]]


def _family(name: str, depth: int, acceptor: str) -> str:
    if depth == 0:
        return name
    stacked = "Spiffy chain" if name == "greedy" else f"PSD ({name})"
    return stacked if acceptor == "replay" else f"{stacked}, {acceptor}"


def _point(policy: Mapping[str, Any], name: str, depth: int) -> str:
    if depth:
        return f"d={depth}"
    if name == "greedy":
        return ""
    knobs = [f"{policy[k]:g}" for k in ("threshold", "k") if isinstance(policy.get(k), (int, float))]
    return knobs[0] if knobs else ""
