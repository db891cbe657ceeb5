"""Decides what a result row says about its decoder: family, policy, depth, and which rows are its references.

Every other module of this room works on the frame that `prepare` returns. Two rows belong to the same *item* when
model, task and example id agree; they are comparable when, besides, everything but the policy, the drafts and the
acceptor agrees (block length, temperature, seed, cache). The generation length is a property of the task here: a decoder
is the same decoder on every task, and rows of one task with two lengths are refused. So is the cache plan a property of
the model, where plans change no decision, and the graph that was calibrated for a model: a decoder is the same decoder on
every model. A decoder need not have run on every model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from psd_lib.errors import UserError
from psd_lib.report.kept import per_frame

NEEDED = ("config_hash", "model", "task", "decoder", "label", "decode", "exact", "example_id", "tokens",
          "token_ids_hash", "correct", "nfe", "rows", "query_tokens", "model_ms", "loop_ms")
ITEM = ["model", "task", "example_id"]
COMPARED = ["tokens", "token_ids_hash", "correct", "nfe", "step_stats"]
NAMES = {"local_leap": "LocalLeap", "left_to_right": "left-to-right", "top_k": "top-k", "entropy_bound": "entropy bound",
         "sdar_dynamic": "SDAR dynamic", "sdar_static": "SDAR static", "sdar_sequential": "SDAR sequential", "klass": "KLASS",
         "credit": "Credit", "wino": "WINO", "apd": "APD", "prophet": "Prophet", "sched": "SchED", "lopa": "LoPA", "ete": "ETE",
         "fdm": "FDM", "fdm_a": "FDM-A", "ssd": "SSD", "freedave": "FreeDave", "simsd": "SimSD", "spiffy": "Spiffy"}  # fmt: skip
EXACT_CACHES = ("none", "exact_block")
AUTOREGRESSIVE = "AR decoding"
CONTEXT = ("block_length", "temperature", "seed", "cache")
LATER = ("second_nfe", "second_query_tokens")  # counts that older rows do not have: no decoder of theirs had a second model


def prepare(rows: pd.DataFrame) -> pd.DataFrame:
    """Adds the derived columns that tables, figures and claims group by; one row per (decoder, item).

    Added: `setting` (names the decoder with all its options, on every model and task), `policy` (display name), `family`
    (policy with what is stacked on it), `depth` (0 = no drafts), `acceptor`, `point` (short label of the setting within
    its family), `greedy`, `policy_key` and `context_key` (what a reference must share: policy and context, or context),
    `fidelity` and `notes` (what is our reading of the decoder), `trained` (it needs a second trained model).
    Exact cache plans count as one, unless the rows of one model hold several, which are several decoders then.

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
    for name in LATER:
        frame[name] = frame[name].fillna(0).astype(int) if name in frame else 0
    frame = _described(frame, one_cache=True)
    if frame.duplicated(["setting", *ITEM]).any():
        frame = _described(frame, one_cache=False)
    lengths = frame.groupby("task").gen_length.unique()
    for task, found in lengths[lengths.map(len) > 1].items():
        raise UserError(f"rows of {task} have generation lengths {', '.join(str(n) for n in sorted(found))}; one length per task is accepted.")
    twice = frame.duplicated(["setting", *ITEM])
    if twice.any():
        first = frame.loc[twice.idxmax()]
        raise UserError(f"item {first.example_id} occurs twice for {first.label}; one row per decoder and item is accepted.")
    return frame


def merge(*experiments: pd.DataFrame) -> pd.DataFrame:
    """Prepared rows of several experiments together; what they share is kept once."""
    return prepare(pd.concat(experiments, ignore_index=True).drop_duplicates(["config_hash", "example_id"]))


def of(*names: str, tier: str, same_items: bool = True) -> pd.DataFrame:
    """Prepared rows of several experiments at a tier, without those that the tier leaves out.

    A tier may give one experiment more items than another: `same_items` keeps those that all decoders of a model have in
    a task, so that a table compares like with like.

    Raises:
        UserError: the tier has none of them.
    """
    from psd_lib import runs

    told = runs.Tier.load(tier).experiments
    here = [name for name in names if told is None or name in told]
    if not here:
        raise UserError(f"tier {tier} has none of the experiments {', '.join(names)}; it has {', '.join(told)}.")
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


def describe(decode: Mapping[str, Any], one_cache: bool = True, model: str = "") -> dict[str, Any]:
    """Reads one `DecodeConfig.to_dict()`: names for people, keys for finding the reference rows.

    Args:
        one_cache: take all exact cache plans for the same plan.
        model: the name of the row's model, which the name of a graph that was calibrated for it holds.
    """
    from psd_lib.decoding import notes_of

    if one_cache and decode.get("cache", {}).get("name") in EXACT_CACHES:
        decode = {**decode, "cache": {"name": "exact"}}
    policy, builder = decode["policy"], decode["builder"]
    depth = int(builder.get("depth", builder["name"] != "none"))  # a builder without depth guesses one state ahead
    acceptor = decode["acceptor"]["name"]
    one_by_one = policy["name"] == "top_k" and policy["k"] == 1
    name = _name(policy, decode)
    context_key = json.dumps({key: decode.get(key) for key in CONTEXT}, sort_keys=True)
    stop = (decode.get("stop") or {}).get("name", "")
    branches = "k" in builder  # with one branch there is none to choose from, and yet it is that method
    plain = depth == 0 and not stop and not branches
    # Without anything stacked on it a policy is itself, by whatever decoder it was asked for.
    fidelity, notes = notes_of({**decode, "decoder": policy["name"]} if plain else decode)
    return {
        "setting": json.dumps({**decode, "gen_length": None, "builder": _of_any_model(builder, model)}, sort_keys=True),
        "gen_length": decode["gen_length"],
        "policy": name,
        "plain": plain,
        "greedy": one_by_one and plain,
        "depth": depth,
        "acceptor": acceptor if depth else "none",
        "family": _family(decode, name, stop) if depth or branches else _stopped(decode, name, stop),
        "point": _point(policy, builder, name, depth),
        "policy_key": json.dumps(policy, sort_keys=True) + context_key,
        "context_key": context_key,
        "fidelity": fidelity,
        "notes": tuple(notes),
        "trained": bool({"judge", "draft"} & {*policy, *builder}),
    }


def find(frame: pd.DataFrame, **wanted) -> str | None:
    """The first decoder whose derived columns have the wanted values, e.g. family and depth; None if it was not run."""
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
    """What is reconstructed or adapted in the decoders of these rows, each sentence once, in the order of the rows.

    A sentence that does not name its method, such as an acceptor's, is told by the first decoder that has it.
    """
    told: dict[str, str] = {}
    for one in frame.drop_duplicates("setting").itertuples():
        method = NAMES.get(one.decoder, one.decoder)
        for note in one.notes:
            told.setdefault(note, note if method.lower() in note.lower() else f"{method}: {note}")
    return tuple(told.values())


def common(ours: pd.DataFrame, base: pd.DataFrame, scored: bool = False) -> pd.DataFrame:
    """Both decoders' `COMPARED` columns on the items they share, suffixed `_ours` and `_base`, in a fixed order.

    Args:
        scored: keep only items whose score exists on both sides (an infrastructure failure is no zero).
    """
    # By hand, because a table asks for hundreds of pairs and a merge costs more than everything else.
    (mine, left), (theirs, right) = _items(ours), _items(base)
    shared = sorted(mine.keys() & theirs.keys())
    sides = ((left, [mine[key] for key in shared], "ours"), (right, [theirs[key] for key in shared], "base"))
    both = pd.DataFrame({name: [key[at] for key in shared] for at, name in enumerate(ITEM)}
                        | {f"{name}_{side}": columns[name][at] for columns, at, side in sides for name in COMPARED})
    if scored:
        both = both[both.correct_ours.notna() & both.correct_base.notna()]
    return both.reset_index(drop=True)


@per_frame
def _items(rows: pd.DataFrame) -> tuple[dict[tuple, int], dict[str, np.ndarray]]:
    """Where each item stands in one decoder's rows, and the `COMPARED` columns."""
    place = {key: at for at, key in enumerate(zip(*(rows[name] for name in ITEM), strict=True))}
    return place, {name: rows[name].to_numpy() for name in COMPARED}


def _described(frame: pd.DataFrame, one_cache: bool) -> pd.DataFrame:
    facts = pd.DataFrame([describe(*one) for one in zip(frame["decode"], [one_cache] * len(frame), frame["model"], strict=True)], index=frame.index)
    frame = pd.concat([frame.drop(columns=[c for c in facts if c in frame]), facts], axis=1)
    # Without drafts `psd` is its policy, and is called so.
    frame["label"] = frame.label.str.replace(r"^psd\((.*), d=0\)$", r"\1", regex=True)
    frame.loc[frame.policy == AUTOREGRESSIVE, "label"] = AUTOREGRESSIVE
    return frame.assign(label=frame.setting.map(_labels(frame)))


def _labels(frame: pd.DataFrame) -> dict[str, str]:
    """One label per setting: where labels coincide, what differs is added, such as `greedy, block_length 8`."""
    found = {}
    for label, part in frame.drop_duplicates("setting").groupby("label", sort=False):
        decodes = {setting: json.loads(setting) for setting in part.setting}
        for setting, decode in decodes.items():
            apart = [key for key in decode if any(decode[key] != other.get(key) for other in decodes.values())]
            values = {key: decode[key]["name"] if isinstance(decode[key], dict) else decode[key] for key in apart}
            found[setting] = ", ".join([label, *(f"{key} {value}" for key, value in values.items())])
    return found


def _reference(frame: pd.DataFrame, key: str, setting: str) -> pd.DataFrame | None:
    own, references = _references(frame)[key]
    return parts(frame).get(references.get(own[setting]))


@per_frame
def _references(frame: pd.DataFrame) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Per key: what each setting has, and the first setting that stands for it, where several names stand for one decoder."""
    first = frame.drop_duplicates("setting").set_index("setting")
    found = {}
    for key, stands in (("policy_key", "plain"), ("context_key", "greedy")):
        usable = first[first[stands].astype(bool)].drop_duplicates(key)
        found[key] = dict(first[key]), {value: str(setting) for setting, value in usable[key].items()}
    return found


def _name(policy: Mapping[str, Any], decode: Mapping[str, Any]) -> str:
    if policy["name"] == "top_k" and policy["k"] == 1:
        return "greedy"
    if policy["name"] == "left_to_right" and policy["k"] == decode.get("block_length") == 1:
        return AUTOREGRESSIVE  # blocks of one position, from left to right: nothing is left to choose
    return NAMES.get(policy["name"], policy["name"])


def _of_any_model(builder: Mapping[str, Any], model: str) -> dict[str, Any]:
    """A builder with a calibrated graph under a name that is the same on every model."""
    if "digest" not in builder or not model:
        return dict(builder)
    return {**builder, "graph": str(builder["graph"]).replace(model, "{model}"), "digest": None}


def _family(decode: Mapping[str, Any], name: str, stop: str) -> str:
    """What shares a line in a figure: the method, then the plugs that are not its usual ones."""
    decoder, builder = decode["decoder"], decode["builder"]
    usual = _usual(decoder)
    if decoder == "psd" or (decoder == "spiffy" and name == "greedy" and builder["name"] == "chain"):
        base = f"PSD ({name})" if name != "greedy" or builder["name"] != "chain" else "Spiffy chain"
    else:
        own = decode["policy"]["name"] == usual["policy"]
        base = NAMES.get(decoder, decoder) if own else f"{NAMES.get(decoder, decoder)} ({name})"
    more = [decode[kind]["name"] for kind in ("builder", "acceptor") if decode[kind]["name"] != usual[kind]]
    more += ["eager"] if builder.get("eager") else []
    return ", ".join([base, *more, *([NAMES.get(stop, stop)] if stop else [])])


def _stopped(decode: Mapping[str, Any], name: str, stop: str) -> str:
    """A policy, or a stop rule that cuts one short."""
    if not stop:
        return name
    known = NAMES.get(stop, stop)
    return f"{name}, {known}" if decode["decoder"] != stop else known if name == "greedy" else f"{known} ({name})"


def _usual(decoder: str) -> dict[str, str]:
    """The plugs that go without saying; of a decoder that this process does not know, a chain checked by replay."""
    from psd_lib.decoding import PRESETS

    preset = PRESETS.get(decoder)
    if preset is None:
        return {"policy": decoder, "builder": "chain", "acceptor": "replay"}
    return {kind: getattr(preset, kind).name for kind in ("policy", "builder", "acceptor")}


def _point(policy: Mapping[str, Any], builder: Mapping[str, Any], name: str, depth: int) -> str:
    """The knob that tells one setting of a family from the next: depth, number of branches, threshold, k, ..."""
    if depth or "k" in builder:
        return f"k={builder['k']}" if "k" in builder else f"d={depth}"
    if name == "greedy":
        return ""
    knobs = [f"{value:g}" for key, value in policy.items() if key != "name" and isinstance(value, int | float)]
    return knobs[0] if knobs else ""
