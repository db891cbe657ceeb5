"""Literal result rows for the tests of psd_lab.report."""

from dataclasses import replace

import pandas as pd

from psd_lib import DecodeConfig
from psd_lib.methods.order_swap import order_swap
from psd_lib.methods.spiffy.graph import CalibratedGraph

GRAPH = CalibratedGraph(order_swap(7, 6), 8, "tiny-greedy", "3f2a1c")
CONFIGS = {
    "greedy": DecodeConfig.make("greedy"),
    "spiffy": DecodeConfig.make("spiffy", depth=3),
    "confidence": DecodeConfig.make("confidence"),
    "psd": DecodeConfig.make("psd", depth=3),
    "chain": DecodeConfig.make("psd", depth=3, acceptor="token_chain"),
    "local_leap": DecodeConfig.make("local_leap"),
    "psd_leap": DecodeConfig.make("psd", policy="local_leap", depth=3),
    "left_to_right": DecodeConfig.make("left_to_right", k=1),
    "swap": DecodeConfig.make("psd", drafter="order_swap", depth=7),
    "graph": DecodeConfig.make("spiffy", drafter="calibrated", graph=GRAPH, depth=7),
    "tree": DecodeConfig.make("ssd", drafter="mix_order", depth=7),
    "freedave": DecodeConfig.make("freedave", policy="confidence", depth=3),
    "drafted": DecodeConfig.make("psd", drafter="draft_model", draft="small"),
    "simsd": DecodeConfig.make("simsd", draft="small"),
    "apd": DecodeConfig.make("apd", judge="ar"),
    "prophet": DecodeConfig.make("prophet"),
    "wino": DecodeConfig.make("wino"),
    **{
        f"{name}_{k}": DecodeConfig.make(name, k=k)
        for name in ("lopa", "ete", "fdm")
        for k in (1, 7)
    },
}


def row(
    name: str,
    item: int,
    tokens: int = 8,
    nfe: int = 8,
    correct: bool | None = True,
    out: str = "a",
    task: str = "mini-gsm",
    stats: dict | None = None,
    **more,
) -> dict:
    """One row of decoder `name` on item `item`; `out` stands for the hash of its token ids."""
    config = more.pop("config", None) or CONFIGS[name]
    return {
        "config_hash": f"{more.get('model', 'tiny')}-{config.label}-{task}",
        "model": "tiny",
        "task": task,
        "split": "test",
        "decoder": config.decoder,
        "label": config.label,
        "decode": config.to_dict(),
        "exact": config.exact,
        "example_id": f"{task}/{item}",
        "completion": out,
        "tokens": tokens,
        "token_ids_hash": f"{out}{item}",
        "answer": out,
        "correct": correct,
        "reason": "ok",
        "nfe": nfe,
        "rows": 2 * nfe,
        "query_tokens": 32 * nfe,
        "model_ms": 10.0,
        "loop_ms": 1.0,
        "stopped": "eos",
        "step_stats": (
            stats
            or {
                "accepted": [0] * nfe,
                "drafted": [0] * nfe,
                "committed": [1] * nfe,
                "block": [0] * nfe,
            }
        ),
        **more,
    }


def rows() -> pd.DataFrame:
    """Four items, six decoders: spiffy and psd exact at half the calls, token_chain wrong on two
    items and other output on one.
    """
    found = []
    for item in range(4):
        right = item != 3
        found += [
            row("greedy", item, nfe=8, correct=right),
            row("spiffy", item, nfe=4, correct=right),
            row("confidence", item, nfe=4, correct=right, out="b"),
            row("psd", item, nfe=2, correct=right, out="b"),
            row("chain", item, nfe=1, correct=item < 2, out="b" if item else "c"),
            row("local_leap", item, nfe=3, correct=right, out="d"),
        ]
    return pd.DataFrame(found)


def everything() -> pd.DataFrame:
    """The rows of `rows` and one more decoder of every kind, of which some ran on `tiny` only; the
    older rows count no second model.
    """
    more = [
        ("left_to_right", {"nfe": 8, "out": "l"}),
        ("swap", {"nfe": 2, "out": "b"}),
        ("tree", {"nfe": 4}),
        ("freedave", {"nfe": 2, "out": "b"}),
        ("graph", {"nfe": 3}),
        ("drafted", {"nfe": 1, "out": "b", "second_nfe": 6}),
        ("simsd", {"nfe": 1, "out": "s", "second_nfe": 8}),
        ("apd", {"nfe": 4, "out": "p", "second_nfe": 4}),
        ("prophet", {"nfe": 6}),
        ("wino", {"nfe": 5, "out": "w"}),
        *(
            (f"{name}_{k}", {"nfe": 5 if k == 1 else 4, "out": f"{name}{k}"})
            for name in ("lopa", "ete", "fdm")
            for k in (1, 7)
        ),
    ]
    found = []
    for model in ("tiny", "other"):
        for name, how in more:
            if model == "tiny" or name not in ("left_to_right", "drafted", "simsd", "wino"):
                config = (
                    CONFIGS["graph"].__class__.make(
                        "spiffy",
                        drafter="calibrated",
                        graph=replace(GRAPH, name=f"{model}-greedy"),
                        depth=7,
                    )
                    if name == "graph"
                    else None
                )
                found += [
                    row(
                        name,
                        item,
                        correct=item < (2 if name.endswith("_7") else 3),
                        model=model,
                        config=config,
                        **how,
                    )
                    for item in range(4)
                ]
    return pd.concat([two_models(), pd.DataFrame(found)], ignore_index=True)


def two_models() -> pd.DataFrame:
    """The rows of `rows` twice: on `tiny`, and on `other`, whose plan recomputes everything and
    whose PSD is wrong everywhere.
    """
    ours = rows()
    theirs = ours.assign(model="other", config_hash="other-" + ours.config_hash)
    theirs.loc[theirs.label == CONFIGS["psd"].label, "correct"] = False
    theirs["decode"] = [{**decode, "cache": {"name": "none"}} for decode in theirs.decode]
    ours["decode"] = [{**decode, "cache": {"name": "exact_block"}} for decode in ours.decode]
    return pd.concat([ours, theirs], ignore_index=True)
