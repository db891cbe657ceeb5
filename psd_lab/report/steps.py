"""Single iterations: how often drafts are accepted, and which axis contributes at which stage.

Reads the `step_stats` of prepared rows: per iteration how many drafts were offered, how many were
accepted, how many tokens were committed, in which block. One accepted draft is one further policy
step that cost no call; under a policy that takes several tokens a step it may hold several tokens.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from psd_lab.report import stats
from psd_lab.report.identity import Decoder
from psd_lab.report.results import Results
from psd_lib.errors import UserError

STAGES = 5
ACCEPTANCE = [
    "model",
    "task",
    "family",
    "decoder",
    "exact",
    "depth",
    "survival",
    "low",
    "high",
    "n",
]


def acceptance(results: Results) -> pd.DataFrame:
    """Per model, task and decoder: the share of calls that accept at least d drafts, of those that
    were offered at least d.

    Returns:
        columns model, task, family, decoder, exact, depth, survival, low, high (bootstrap over
        items), n (calls offered d drafts).
    """
    records = []
    drafted = results.frame[results.frame.depth > 0]
    groups = drafted.groupby(["model", "task", "setting"], sort=False)
    for (model, task, _), part in groups:
        one = part.iloc[0]
        for depth in range(1, int(one.depth) + 1):
            pairs = [_offered(stat, depth) for stat in part.step_stats]
            hits, offered = np.array(pairs).T
            if offered.sum() == 0:
                continue
            share = stats.ratio(hits, offered)
            values = (
                model,
                task,
                one.family,
                one.label,
                bool(one.exact),
                depth,
                share.value,
                share.low,
                share.high,
                int(offered.sum()),
            )
            records.append(dict(zip(ACCEPTANCE, values, strict=True)))
    return pd.DataFrame(records, columns=ACCEPTANCE)


def contributions(results: Results, decoder: Decoder, stages: int = STAGES) -> pd.DataFrame:
    """Tokens per call that the policy's own step and the accepted drafts bring, by progress within
    the block.

    Stage s of S holds the iterations that start when (s-1)/S .. s/S of what the block commits in
    all is committed. The own step's size is read from the rows of the same policy without drafts:
    under an exact rule both decodes walk the same steps, so this is read off and not estimated.

    Returns:
        columns stage (1..S), axis ("policy step" or "accepted drafts"), tokens (per iteration),
        low, high, iterations.

    Raises:
        UserError: the decoder is not exact, or its policy was not run without drafts.
    """
    base = results.own_policy(decoder)
    one = results.parts[decoder].iloc[0]
    if not bool(one.exact) or base is None:
        raise UserError(
            f"stages of {one.label} need an exact rule and rows of its policy without drafts."
        )
    both = results.pair(decoder, base).items
    parts = [
        _split(row.step_stats_ours, row.step_stats_base, index, stages)
        for index, row in enumerate(both.itertuples())
    ]
    steps = pd.concat(parts, ignore_index=True)
    records = []
    for stage, part in steps.groupby("stage"):
        for axis, column in (("policy step", "own"), ("accepted drafts", "drafts")):
            per = part.groupby("item").agg(tokens=(column, "sum"), calls=(column, "size"))
            mean = stats.ratio(per.tokens, per.calls)
            records.append(
                {
                    "stage": int(stage),
                    "axis": axis,
                    "tokens": mean.value,
                    "low": mean.low,
                    "high": mean.high,
                    "iterations": len(part),
                }
            )
    return pd.DataFrame(records)


def _offered(stat: dict, depth: int) -> tuple[int, int]:
    accepted, drafted = np.asarray(stat["accepted"]), np.asarray(stat["drafted"])
    offered = drafted >= depth
    return int((accepted[offered] >= depth).sum()), int(offered.sum())


def _split(ours: dict, base: dict, item: int, stages: int) -> pd.DataFrame:
    """One row per iteration of one item: its stage, tokens of the own step, tokens of accepted
    drafts.

    Iteration t walks the own step and `accepted[t]` further steps, so its own step is number sum(1
    + accepted[:t]).
    """
    accepted, committed, block = (
        np.asarray(ours[k], dtype=int) for k in ("accepted", "committed", "block")
    )
    own_step = np.concatenate([[0], np.cumsum(1 + accepted)[:-1]])
    own = np.asarray(base["committed"], dtype=int)[own_step]
    rows = pd.DataFrame(
        {
            "item": item,
            "block": block,
            "committed": committed,
            "own": own,
            "drafts": committed - own,
        }
    )
    before = rows.groupby("block").committed.cumsum() - rows.committed
    share = before / rows.groupby("block").committed.transform("sum")
    rows["stage"] = np.minimum((share * stages).astype(int), stages - 1) + 1
    return rows
