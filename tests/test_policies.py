"""Policies on literal tensors, and what every policy promises (invariant 21)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from psd_lib.decoding.policies import POLICIES, LeftToRight, LocalLeap, Threshold, TopK
from psd_lib.decoding.scores import Scores
from psd_lib.errors import UserError


def commits(policy, confidence, masked):
    confidence = torch.tensor(confidence)
    scores = Scores(torch.zeros_like(confidence, dtype=torch.long), confidence)
    return policy.select(scores, torch.tensor(masked).bool()).int().tolist()


CASES = [
    (TopK(2), [[0.2, 0.9, 0.9, 0.5], [0.1, 0.4, 0.3, 0.8]], [[1, 1, 1, 1], [1, 0, 0, 0]], [[0, 1, 1, 0], [1, 0, 0, 0]]),
    (TopK(1), [[0.5, 0.5, 0.5, 0.5], [0.1, 0.4, 0.3, 0.8]], [[1, 1, 1, 1], [1, 1, 1, 0]], [[1, 0, 0, 0], [0, 1, 0, 0]]),
    (Threshold(0.9), [[0.2, 0.9, 0.95, 0.5], [0.1, 0.4, 0.3, 0.8]], [[1, 1, 1, 1], [1, 1, 1, 0]], [[0, 1, 1, 0], [0, 1, 0, 0]]),
    (Threshold(0.0), [[0.2, 0.9, 0.95, 0.5], [0.1, 0.4, 0.3, 0.8]], [[1, 1, 1, 1], [0, 0, 0, 0]], [[1, 1, 1, 1], [0, 0, 0, 0]]),
    (LocalLeap(radius=1), [[0.8, 0.8, 0.9, 0.8], [0.8, 0.5, 0.6, 0.7]], [[1] * 4] * 2, [[0, 1, 1, 1], [1, 0, 0, 0]]),
    # an anchor must itself be masked: the decided 0.99 relaxes nothing
    (LocalLeap(radius=4), [[0.99, 0.8, 0.76, 0.5], [0.1, 0.8, 0.95, 0.74]], [[0, 1, 1, 1], [1] * 4], [[0, 1, 0, 0], [0, 1, 1, 0]]),
    (LeftToRight(2), [[0.9, 0.1, 0.2, 0.3], [0.1, 0.4, 0.3, 0.8]], [[0, 1, 1, 1], [0, 0, 0, 1]], [[0, 1, 1, 0], [0, 0, 0, 1]]),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "confidence", "masked", "expected"), CASES, ids=lambda value: getattr(value, "label", None))
def test_literal(policy, confidence, masked, expected):
    assert commits(policy, confidence, masked) == expected


windows = st.integers(1, 12).flatmap(
    lambda width: st.tuples(
        st.lists(st.sampled_from([0.0, 0.3, 0.74, 0.75, 0.76, 0.89, 0.9, 0.91, 1.0]), min_size=width, max_size=width),
        st.lists(st.booleans(), min_size=width, max_size=width),
    )
)


@pytest.mark.parametrize("policy", [cls() for cls in POLICIES.values()], ids=lambda policy: policy.name)
@settings(max_examples=60, deadline=None)
@given(window=windows)
def test_invariant_21_never_empty_and_only_masked_positions(policy, window):
    confidence, masked = window
    [chosen] = commits(policy, [confidence], [masked])
    assert all(mask for commit, mask in zip(chosen, masked) if commit)
    assert any(chosen) == any(masked)


@settings(max_examples=60, deadline=None)
@given(window=windows)
def test_invariant_21_local_leap_without_relaxation_is_the_threshold(window):
    confidence, masked = window
    plain = commits(Threshold(0.9), [confidence], [masked])
    assert commits(LocalLeap(0.9, 0.9, 4), [confidence], [masked]) == plain
    assert commits(LocalLeap(0.9, 0.75, 0), [confidence], [masked]) == plain


@settings(max_examples=60, deadline=None)
@given(window=windows)
def test_invariant_21_an_unreachable_threshold_is_greedy(window):
    confidence, masked = [min(value, 0.99) for value in window[0]], window[1]
    assert commits(Threshold(1.0), [confidence], [masked]) == commits(TopK(1), [confidence], [masked])


@settings(max_examples=60, deadline=None)
@given(window=windows, low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_lower_threshold_commits_no_less(window, low, high):
    low, high = sorted((low, high))
    [few], [many] = (commits(Threshold(t), [window[0]], [window[1]]) for t in (high, low))
    assert all(b >= a for a, b in zip(few, many))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Threshold(1.5), "threshold must be a number between 0 and 1"),
        (lambda: Threshold(-0.1), "threshold must be a number between 0 and 1"),
        (lambda: Threshold(float("nan")), "threshold must be a number between 0 and 1"),
        (lambda: LocalLeap(relaxed_threshold="high"), "relaxed_threshold must be a number"),
        (lambda: LocalLeap(radius=-1), "radius must be a whole number of at least 0"),
        (lambda: TopK(0), "k must be a whole number of at least 1"),
        (lambda: LeftToRight(1.5), "k must be a whole number of at least 1"),
    ],
)
def test_impossible_values_are_refused(make, words):
    with pytest.raises(UserError, match=words):
        make()
