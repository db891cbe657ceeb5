"""Recorded scores: is confidence calibrated, and does the ranking of positions stay stable?

Works on traces recorded with `record_scores=True` (`Trace.scores`): what the decoder knew at the
start of each iteration about the positions of the current block that were still masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from psd_lab.report import stats
from psd_lib.errors import UserError

KS = (1, 2, 3, 5, 8)
LAGS = (0, 1, 2, 4)
NEVER = np.iinfo(np.int64).max


def score_frame(traces: Iterable, model: str = "") -> pd.DataFrame:
    """One row per (sequence, iteration, masked position): confidence, its rank, and what became of
    the position.

    Frames of several models may be concatenated: what follows measures each model by itself.

    Columns: model, sequence, iteration, block, position, token, confidence, rank (0 = most
    confident; ties: lowest position), left (masked positions in the block at that moment),
    committed_at (iteration; a huge number if never), depth, final_token, agrees (the argmax of now
    is the token committed in the end; missing if none was).

    Raises:
        UserError: a trace holds no recorded scores.
    """
    parts = []
    for index, trace in enumerate(traces):
        if not getattr(trace, "scores", None):
            raise UserError("a trace holds no scores; decode with record_scores=True.")
        block_of = dict(enumerate(entry["block"] for entry in trace.iterations))
        step, tokens = np.asarray(trace.step), np.asarray(trace.tokens)
        iteration, depth = np.asarray(trace.iteration), np.asarray(trace.depth)
        for scores in trace.scores:
            position = np.asarray(scores["positions"], dtype=int)
            confidence = np.asarray(scores["confidence"], dtype=float)
            if position.size == 0:
                continue
            rank = np.empty(position.size, dtype=int)
            rank[np.lexsort((position, -confidence))] = np.arange(position.size)
            done = step[position] >= 0
            token, final = np.asarray(scores["token"], dtype=int), tokens[position]
            parts.append(
                pd.DataFrame(
                    {
                        "model": model,
                        "sequence": index,
                        "iteration": scores["iteration"],
                        "block": block_of.get(scores["iteration"], -1),
                        "position": position,
                        "token": token,
                        "confidence": confidence,
                        "rank": rank,
                        "left": position.size,
                        "committed_at": np.where(done, iteration[position], NEVER),
                        "depth": depth[position],
                        "final_token": np.where(done, final, -1),
                        "agrees": np.where(done, (token == final).astype(float), np.nan),
                    }
                )
            )
    if not parts:
        raise UserError("no trace was given; decode at least one prompt with record_scores=True.")
    return pd.concat(parts, ignore_index=True)


def calibration(frame: pd.DataFrame, bins: int = 10) -> pd.DataFrame:
    """Reliability of confidence as a forecast of "this argmax is the token that will be committed
    here".

    One row per model and non-empty bin: model, low, high, confidence (mean), agreement with a
    bootstrap interval over sequences (positions of one sequence are not independent), n. Positions
    that were never committed are left out.
    """
    return _by_model(frame, lambda part: _bins(part, bins))


def calibration_error(bins: pd.DataFrame) -> float:
    """Expected calibration error: mean |confidence - agreement| over one model's rows of
    `calibration`, weighted by n.
    """
    return float(np.average((bins.confidence - bins.agreement).abs(), weights=bins.n))


def precision_at_k(
    frame: pd.DataFrame, ks: Sequence[int] = KS, lags: Sequence[int] = LAGS
) -> pd.DataFrame:
    """Of the K positions that stale confidence ranks first, how many does greedy commit in its next
    K steps?

    The ranking is taken at step t and asked about steps t+lag .. t+lag+K-1 of the same block, after
    removing what was committed in between; lag 0 is the paper's figure (PSD, arXiv 2605.15609),
    larger lags age the ranking. States with fewer than K later commits in the block are left out.
    `chance` is the precision of a random ranking.

    Returns:
        columns model, k, lag, precision, low, high (bootstrap over sequences), chance, states.

    Raises:
        UserError: the scores come from a decode that commits several positions in one iteration.
    """
    committed = frame[frame.committed_at == frame.iteration]
    if committed.groupby(["model", "sequence", "iteration"]).size().gt(1).any():
        raise UserError(
            "precision at K needs a greedy trace (one commit per iteration, depth 0); decode with"
            " decoder='greedy'."
        )
    return _by_model(frame, lambda part: _precision(part, ks, lags))


def token_kept(frame: pd.DataFrame, lags: Sequence[int] = (1, 2, 4, 8)) -> pd.DataFrame:
    """How often the argmax token of a masked position is still the same `lag` iterations later in
    the same block.

    Returns:
        columns model, lag, kept, low, high (bootstrap over sequences), n (pairs of states of one
        position).
    """
    return _by_model(frame, lambda part: _kept(part, lags))


def _by_model(frame: pd.DataFrame, measure: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    found = []
    for name, part in frame.groupby("model", sort=False):
        measured = measure(part)
        measured.insert(0, "model", name)
        found.append(measured)
    return pd.concat(found, ignore_index=True)


def _bins(frame: pd.DataFrame, bins: int) -> pd.DataFrame:
    known = frame.dropna(subset=["agrees"])
    cell = np.clip((known.confidence * bins).astype(int), 0, bins - 1)
    rows = []
    for index, part in known.groupby(cell):
        per = part.groupby("sequence").agrees.agg(["sum", "count"])
        share = stats.ratio(per["sum"], per["count"])
        rows.append(
            {
                "low": index / bins,
                "high": (index + 1) / bins,
                "confidence": part.confidence.mean(),
                "agreement": share.value,
                "agreement_low": share.low,
                "agreement_high": share.high,
                "n": len(part),
            }
        )
    return pd.DataFrame(rows)


def _precision(frame: pd.DataFrame, ks: Sequence[int], lags: Sequence[int]) -> pd.DataFrame:
    counts: dict[tuple[int, int], list[dict[str, float]]] = {
        (k, lag): [] for k in ks for lag in lags
    }
    for (sequence, _), block in frame.groupby(["sequence", "block"]):
        order = block.drop_duplicates("position").sort_values("committed_at")
        order = order[order.committed_at < NEVER].position.to_numpy()
        for state in _states(block):
            first = int(np.flatnonzero(order == state["next"])[0])
            for (k, lag), found in counts.items():
                after = order[first + lag : first + lag + k]
                if after.size < k:
                    continue
                ranked = state["ranked"][~np.isin(state["ranked"], order[first : first + lag])]
                hits = np.isin(ranked[:k], after).sum()
                found.append(
                    {"sequence": sequence, "hits": hits, "asked": k, "chance": k * k / ranked.size}
                )
    return pd.DataFrame(
        [_precision_row(k, lag, found) for (k, lag), found in counts.items() if found]
    )


def _kept(frame: pd.DataFrame, lags: Sequence[int]) -> pd.DataFrame:
    keys = ["sequence", "block", "position", "iteration"]
    rows = []
    for lag in lags:
        later = frame[[*keys, "token"]].assign(iteration=frame.iteration - lag)
        both = frame[[*keys, "token"]].merge(later, on=keys, suffixes=("", "_later"))
        if both.empty:
            continue
        same = (both.token == both.token_later).groupby(both.sequence).agg(["sum", "count"])
        share = stats.ratio(same["sum"], same["count"])
        rows.append(
            {"lag": lag, "kept": share.value, "low": share.low, "high": share.high, "n": len(both)}
        )
    return pd.DataFrame(rows)


def _states(block: pd.DataFrame) -> list[dict]:
    """Every recorded state of one block in which something was committed: its ranking and its next
    commit.
    """
    found = []
    for iteration, state in block.groupby("iteration"):
        now = state[state.committed_at == iteration].position
        if len(now):
            found.append(
                {"ranked": state.sort_values("rank").position.to_numpy(), "next": int(now.iloc[0])}
            )
    return found


def _precision_row(k: int, lag: int, found: list[dict]) -> dict:
    counted = pd.DataFrame(found)
    per = counted.groupby("sequence")[["hits", "asked"]].sum()
    share = stats.ratio(per.hits, per.asked)
    return {
        "k": k,
        "lag": lag,
        "precision": share.value,
        "low": share.low,
        "high": share.high,
        "chance": counted.chance.sum() / counted.asked.sum(),
        "states": len(counted),
    }
