"""Decides what a decoder is called in reports: its policy, family and label within it, and the keys
that find its references.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from psd_lab.caches import EXACT_CACHES

NAMES = {
    "local_leap": "LocalLeap",
    "left_to_right": "left-to-right",
    "top_k": "top-k",
    "entropy_bound": "entropy bound",
    "sdar_dynamic": "SDAR dynamic",
    "sdar_static": "SDAR static",
    "sdar_sequential": "SDAR sequential",
    "klass": "KLASS",
    "credit": "Credit",
    "wino": "WINO",
    "apd": "APD",
    "prophet": "Prophet",
    "sched": "SchED",
    "lopa": "LoPA",
    "ete": "ETE",
    "fdm": "FDM",
    "fdm_a": "FDM-A",
    "ssd": "SSD",
    "freedave": "FreeDave",
    "simsd": "SimSD",
    "spiffy": "Spiffy",
}
AUTOREGRESSIVE = "AR decoding"
CONTEXT = ("block_length", "temperature", "seed", "cache")


def describe(decode: Mapping[str, Any], one_cache: bool = True, model: str = "") -> dict[str, Any]:
    """Reads one `DecodeConfig.to_dict()`: names for people, keys for finding the reference rows.

    Args:
        one_cache: take all exact cache plans for the same plan. model: the name of the row's model,
        which the name of a graph that was calibrated for it holds.
    """
    import psd_lib.methods  # noqa: F401
    from psd_lib.core.parts import notes_of

    if one_cache and decode.get("cache", {}).get("name") in EXACT_CACHES:
        decode = {**decode, "cache": {"name": "exact"}}
    policy, builder = decode["policy"], decode["builder"]
    depth = int(
        builder.get("depth", builder["name"] != "none")
    )  # a builder without depth guesses one state ahead
    acceptor = decode["acceptor"]["name"]
    one_by_one = policy["name"] == "top_k" and policy["k"] == 1
    name = _name(policy, decode)
    context_key = json.dumps({key: decode.get(key) for key in CONTEXT}, sort_keys=True)
    stop = (decode.get("stop") or {}).get("name", "")
    branches = (
        "k" in builder
    )  # with one branch there is none to choose from, and yet it is that method
    plain = depth == 0 and not stop and not branches
    # Without anything stacked on it a policy is itself, by whatever decoder it was asked for.
    fidelity, notes = notes_of({**decode, "decoder": policy["name"]} if plain else decode)
    return {
        "setting": json.dumps(
            {**decode, "gen_length": None, "builder": _of_any_model(builder, model)}, sort_keys=True
        ),
        "gen_length": decode["gen_length"],
        "policy": name,
        "plain": plain,
        "greedy": one_by_one and plain,
        "depth": depth,
        "acceptor": acceptor if depth else "none",
        "family": (
            _family(decode, name, stop) if depth or branches else _stopped(decode, name, stop)
        ),
        "point": _point(policy, builder, name, depth),
        "policy_key": json.dumps(policy, sort_keys=True) + context_key,
        "context_key": context_key,
        "fidelity": fidelity,
        "notes": tuple(notes),
        "trained": bool({"judge", "draft"} & {*policy, *builder}),
    }


def _name(policy: Mapping[str, Any], decode: Mapping[str, Any]) -> str:
    if policy["name"] == "top_k" and policy["k"] == 1:
        return "greedy"
    if policy["name"] == "left_to_right" and policy["k"] == decode.get("block_length") == 1:
        return (
            AUTOREGRESSIVE  # blocks of one position, from left to right: nothing is left to choose
        )
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
    if decoder == "psd" or (
        decoder == "spiffy" and name == "greedy" and builder["name"] == "chain"
    ):
        base = f"PSD ({name})" if name != "greedy" or builder["name"] != "chain" else "Spiffy chain"
    else:
        own = decode["policy"]["name"] == usual["policy"]
        base = NAMES.get(decoder, decoder) if own else f"{NAMES.get(decoder, decoder)} ({name})"
    more = [
        decode[kind]["name"]
        for kind in ("builder", "acceptor")
        if decode[kind]["name"] != usual[kind]
    ]
    more += ["eager"] if builder.get("eager") else []
    return ", ".join([base, *more, *([NAMES.get(stop, stop)] if stop else [])])


def _stopped(decode: Mapping[str, Any], name: str, stop: str) -> str:
    """A policy, or a stop rule that cuts one short."""
    if not stop:
        return name
    known = NAMES.get(stop, stop)
    return (
        f"{name}, {known}"
        if decode["decoder"] != stop
        else known
        if name == "greedy"
        else f"{known} ({name})"
    )


def _usual(decoder: str) -> dict[str, str]:
    """The plugs that go without saying; of a decoder that this process does not know, a chain
    checked by replay.
    """
    from psd_lib import DECODERS
    from psd_lib.core.parts import parts_of

    preset = DECODERS.get(decoder)
    if preset is None:
        return {"policy": decoder, "builder": "chain", "acceptor": "replay"}
    parts = parts_of(preset)
    return {
        "policy": parts["policy"].name,
        "builder": parts["drafter"].name,
        "acceptor": parts["acceptor"].name,
    }


def _point(policy: Mapping[str, Any], builder: Mapping[str, Any], name: str, depth: int) -> str:
    """The knob that tells one setting of a family from the next: depth, number of branches,
    threshold, k, ...
    """
    if depth or "k" in builder:
        return f"k={builder['k']}" if "k" in builder else f"d={depth}"
    if name == "greedy":
        return ""
    knobs = [
        f"{value:g}"
        for key, value in policy.items()
        if key != "name" and isinstance(value, int | float)
    ]
    return knobs[0] if knobs else ""
