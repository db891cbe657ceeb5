from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from psd_lab.report import confidence
from psd_lib.errors import UserError


def trace(order, ranking_confidence, tokens=None, proposed=None, block=None):
    """A greedy trace: `order` lists positions as committed; before every step all masked positions
    have fixed confidences.
    """
    n = len(order)
    final = np.array(tokens or range(100, 100 + n))
    step = np.empty(n, dtype=int)
    step[order] = np.arange(n)
    scores = []
    for t in range(n):
        left = np.sort(order[t:])
        token = np.array([(proposed or {}).get((t, p), final[p]) for p in left])
        scores.append(
            {
                "iteration": t,
                "positions": left,
                "token": token,
                "confidence": np.array([ranking_confidence[p] for p in left]),
            }
        )
    return SimpleNamespace(
        tokens=final,
        step=step,
        iteration=step,
        depth=np.zeros(n, dtype=int),
        scores=scores,
        iterations=[{"block": 0 if block is None else block[t]} for t in range(n)],
    )


def precision(frame, k, lag):
    found = confidence.precision_at_k(frame, ks=(k,), lags=(lag,))
    return found.iloc[0].precision, found.iloc[0].states


def test_a_ranking_that_foretells_the_order_has_precision_one():
    frame = confidence.score_frame([trace([2, 0, 1, 3], {2: 0.9, 0: 0.8, 1: 0.7, 3: 0.6})])
    assert precision(frame, 1, 0) == (1.0, 4)
    assert precision(frame, 2, 1) == (1.0, 2)
    assert list(frame[frame.iteration == 0].sort_values("rank").position) == [2, 0, 1, 3]


def test_precision_by_hand_when_the_order_swaps():
    # ranking always 0 > 1 > 2 > 3, commits 0, 2, 1, 3
    frame = confidence.score_frame([trace([0, 2, 1, 3], {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6})])
    # K=2, fresh: {0,1} vs {0,2} = 1; {1,2} vs {2,1} = 2; {1,3} vs {1,3} = 2  -> 5 of 6
    assert precision(frame, 2, 0) == (pytest.approx(5 / 6), 3)
    # K=1, one step old: after 0 the stale best is 1, committed 2: 0; after 2: 1 = 1: 1; after 1: 3
    # = 3: 1
    assert precision(frame, 1, 1) == (pytest.approx(2 / 3), 3)
    chance = confidence.precision_at_k(frame, ks=(2,), lags=(0,)).iloc[0].chance
    assert chance == pytest.approx((4 / 4 + 4 / 3 + 4 / 2) / 6)


def test_precision_never_looks_across_blocks():
    one = trace([0, 1, 2, 3], dict.fromkeys(range(4), 0.5), block=[0, 0, 1, 1])
    for entry in one.scores[:2]:
        keep = entry["positions"] < 2
        entry.update({k: entry[k][keep] for k in ("positions", "token", "confidence")})
    assert precision(confidence.score_frame([one]), 2, 0)[1] == 2


def test_calibration_counts_proposals_that_are_kept():
    one = trace([0, 1], {0: 0.95, 1: 0.35}, proposed={(0, 1): 7})
    frame = confidence.score_frame([one, one])
    bins = confidence.calibration(frame).set_index("low")
    assert bins.loc[0.9, "agreement"] == 1 and bins.loc[0.9, "n"] == 2
    assert bins.loc[0.3, "agreement"] == 0.5 and bins.loc[0.3, "n"] == 4
    assert confidence.calibration_error(bins) == pytest.approx((2 * 0.05 + 4 * 0.15) / 6)


def test_models_are_measured_apart():
    steady, turned = (
        trace(order, {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6}) for order in ([0, 1, 2, 3], [3, 2, 1, 0])
    )
    both = pd.concat(
        [confidence.score_frame([steady], "a"), confidence.score_frame([turned], "b")],
        ignore_index=True,
    )
    found = confidence.precision_at_k(both, ks=(1,), lags=(0,)).set_index("model").precision
    assert found["a"] == 1 and found["b"] == 1 / 4  # only the last state leaves no choice
    assert (
        list(confidence.calibration(both).model.unique())
        == list(confidence.token_kept(both, lags=(1,)).model)
        == ["a", "b"]
    )


def test_token_kept_by_age():
    one = trace([0, 1, 2], {0: 0.9, 1: 0.8, 2: 0.7}, proposed={(0, 2): 7})
    kept = confidence.token_kept(confidence.score_frame([one]), lags=(1, 2)).set_index("lag")
    assert kept.loc[1, "kept"] == pytest.approx(2 / 3) and kept.loc[1, "n"] == 3
    assert kept.loc[2, "kept"] == 0 and kept.loc[2, "n"] == 1


def test_refusals():
    blind = SimpleNamespace(scores=[], iterations=[])
    with pytest.raises(UserError, match="record_scores=True"):
        confidence.score_frame([blind])
    with pytest.raises(UserError, match="at least one prompt"):
        confidence.score_frame([])
    parallel = trace([0, 1], {0: 0.9, 1: 0.9})
    parallel.iteration = parallel.step = np.array([0, 0])
    with pytest.raises(UserError, match="greedy trace"):
        confidence.precision_at_k(confidence.score_frame([parallel]))
