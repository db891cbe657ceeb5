"""Policies on literal tensors, and what every policy promises (invariant 21); six situations more:
test_policy_situations.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from psd_lib import POLICIES
from psd_lib.core.policies import Threshold, TopK
from psd_lib.core.registry import check_policy
from psd_lib.core.scores import Scores
from psd_lib.errors import UserError
from psd_lib.methods.apd import Judged
from psd_lib.methods.credit import Credit
from psd_lib.methods.eb_sampler import EntropyBound
from psd_lib.methods.entropy import Entropy
from psd_lib.methods.fast_dllm import Factor
from psd_lib.methods.hierarchical import Hierarchy, first_of_run
from psd_lib.methods.klass import Klass
from psd_lib.methods.left_to_right import LeftToRight
from psd_lib.methods.local_leap import LocalLeap
from psd_lib.methods.margin import Margin
from psd_lib.methods.sdar import SdarDynamic, SdarSequential, SdarStatic, quota
from psd_lib.methods.wino import Wino


def commits(policy, values, masked):
    """`values` are confidences, which serve as margins too; for a policy that reads entropy they
    are entropies.
    """
    values = torch.tensor(values)
    reads_entropy = isinstance(policy, Entropy | EntropyBound)
    confidence, entropy = (1 - values, values) if reads_entropy else (values, 1 - values)
    scores = Scores(
        torch.zeros_like(values, dtype=torch.long), confidence, confidence, entropy, confidence
    )
    return policy.select(scores, torch.tensor(masked).bool()).int().tolist()


CASES = [
    (
        TopK(2),
        [[0.2, 0.9, 0.9, 0.5], [0.1, 0.4, 0.3, 0.8]],
        [[1, 1, 1, 1], [1, 0, 0, 0]],
        [[0, 1, 1, 0], [1, 0, 0, 0]],
    ),
    (
        TopK(1),
        [[0.5, 0.5, 0.5, 0.5], [0.1, 0.4, 0.3, 0.8]],
        [[1, 1, 1, 1], [1, 1, 1, 0]],
        [[1, 0, 0, 0], [0, 1, 0, 0]],
    ),
    (
        Threshold(0.9),
        [[0.2, 0.9, 0.95, 0.5], [0.1, 0.4, 0.3, 0.8]],
        [[1, 1, 1, 1], [1, 1, 1, 0]],
        [[0, 1, 1, 0], [0, 1, 0, 0]],
    ),
    (
        Threshold(0.0),
        [[0.2, 0.9, 0.95, 0.5], [0.1, 0.4, 0.3, 0.8]],
        [[1, 1, 1, 1], [0, 0, 0, 0]],
        [[1, 1, 1, 1], [0, 0, 0, 0]],
    ),
    (
        LocalLeap(radius=1),
        [[0.8, 0.8, 0.9, 0.8], [0.8, 0.5, 0.6, 0.7]],
        [[1] * 4] * 2,
        [[0, 1, 1, 1], [1, 0, 0, 0]],
    ),
    # an anchor must itself be masked: the decided 0.99 relaxes nothing
    (
        LocalLeap(radius=4),
        [[0.99, 0.8, 0.76, 0.5], [0.1, 0.8, 0.95, 0.74]],
        [[0, 1, 1, 1], [1] * 4],
        [[0, 1, 0, 0], [0, 1, 1, 0]],
    ),
    (
        Factor(1.0),
        [[0.9, 0.7, 0.74, 0.99], [0.1, 0.6, 0.66, 0.3]],
        [[1] * 4] * 2,
        [[1, 0, 0, 1], [0, 0, 1, 0]],
    ),
    (
        Factor(2.0),
        [[0.5, 0.5, 0.5, 0.2], [0.6, 0.7, 0.99, 0.2]],
        [[1] * 4, [1, 1, 0, 0]],
        [[1, 1, 1, 0], [1, 1, 0, 0]],
    ),
    (
        Factor(0.0),
        [[0.9, 0.9, 0.9, 0.9], [1.0, 1.0, 0.9, 1.0]],
        [[1] * 4] * 2,
        [[1, 0, 0, 0], [1, 1, 0, 1]],
    ),
    (
        EntropyBound(0.15),
        [[0.3, 0.05, 0.11, 0.9], [0.2, 0.1, 0.1, 0.4]],
        [[1] * 4, [1, 1, 1, 0]],
        [[0, 1, 1, 0], [0, 1, 1, 0]],
    ),
    (
        EntropyBound(0.0),
        [[0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.3, 0.2]],
        [[1] * 4] * 2,
        [[1, 0, 0, 0], [1, 1, 0, 1]],
    ),
    (
        Margin(0.8),
        [[0.2, 0.8, 0.85, 0.5], [0.1, 0.4, 0.3, 0.9]],
        [[1] * 4, [1, 1, 1, 0]],
        [[0, 1, 1, 0], [0, 1, 0, 0]],
    ),
    (
        Entropy(0.5),
        [[1.2, 0.5, 0.1, 0.9], [2.0, 1.4, 1.6, 0.1]],
        [[1] * 4, [1, 1, 1, 0]],
        [[0, 1, 1, 0], [0, 1, 0, 0]],
    ),
    (
        SdarStatic(steps=2),
        [[0.2, 0.9, 0.9, 0.5], [0.1, 0.4, 0.3, 0.8]],
        [[1] * 4, [1, 0, 0, 0]],
        [[0, 1, 1, 0], [1, 0, 0, 0]],
    ),
    (
        SdarDynamic(0.9, steps=2),
        [[0.2, 0.95, 0.92, 0.91], [0.1, 0.4, 0.95, 0.8]],
        [[1] * 4] * 2,
        [[0, 1, 1, 1], [0, 0, 1, 1]],
    ),
    # strictly above, as in its source: threshold 1 is the static rule, and ties go to the lowest
    # position
    (
        SdarDynamic(1.0),
        [[1.0, 1.0, 1.0, 1.0], [0.3, 0.9, 0.9, 0.2]],
        [[1] * 4] * 2,
        [[1, 0, 0, 0], [0, 1, 0, 0]],
    ),
    (
        SdarSequential(steps=2),
        [[0.9, 0.1, 0.2, 0.3], [0.1, 0.4, 0.3, 0.8]],
        [[0, 1, 1, 1], [0, 0, 0, 1]],
        [[0, 1, 1, 0], [0, 0, 0, 1]],
    ),
    (
        Hierarchy(),
        [[0.5, 0.6, 0.2, 0.45], [0.9, 0.3, 0.95, 0.92]],
        [[1, 1, 0, 1], [0, 1, 1, 1]],
        [[0, 1, 0, 1], [0, 0, 1, 1]],
    ),
    # ties inside a run and between runs; nothing above the lower threshold: the best position alone
    (
        Hierarchy(),
        [[0.5, 0.5, 0.9, 0.5], [0.3, 0.4, 0.2, 0.4]],
        [[1, 1, 0, 1], [1, 1, 0, 1]],
        [[1, 0, 0, 1], [0, 1, 0, 0]],
    ),
    # without a history KLASS and Credit decide as at a block's first step; without a judge APD
    # takes the first mask
    (
        Klass(),
        [[0.2, 0.9, 0.9, 0.5], [0.1, 0.4, 0.3, 0.8]],
        [[1] * 4, [1, 1, 1, 0]],
        [[0, 1, 0, 0], [0, 1, 0, 0]],
    ),
    (
        Credit(),
        [[0.2, 0.9, 0.95, 0.5], [0.1, 0.4, 0.3, 0.8]],
        [[1] * 4, [1, 1, 1, 0]],
        [[0, 1, 1, 0], [0, 1, 0, 0]],
    ),
    (
        Judged(),
        [[0.2, 0.9, 0.95, 0.5], [0.1, 0.4, 0.3, 0.8]],
        [[0, 1, 1, 1], [1, 1, 1, 0]],
        [[0, 1, 0, 0], [1, 0, 0, 0]],
    ),
    (
        Wino(least=1, most=2),
        [[0.7, 0.9, 0.9, 0.65], [0.6, 0.4, 0.3, 0.8]],
        [[1] * 4, [1, 1, 1, 0]],
        [[0, 1, 1, 0], [1, 0, 0, 0]],
    ),
    (
        LeftToRight(2),
        [[0.9, 0.1, 0.2, 0.3], [0.1, 0.4, 0.3, 0.8]],
        [[0, 1, 1, 1], [0, 0, 0, 1]],
        [[0, 1, 1, 0], [0, 0, 0, 1]],
    ),
]


@pytest.mark.parametrize(
    ("policy", "confidence", "masked", "expected"),
    CASES,
    ids=lambda value: getattr(value, "label", None),
)
def test_literal(policy, confidence, masked, expected):
    assert commits(policy, confidence, masked) == expected


REGISTERED = [pytest.param(cls(), id=name) for name, cls in POLICIES.items()]


@pytest.mark.parametrize("policy", REGISTERED)
@pytest.mark.parametrize(
    ("confidence", "masked"),
    [
        pytest.param([0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0], id="none masked"),
        pytest.param([0.99, 0.99, 0.1, 0.99], [0, 0, 1, 0], id="one left and doubtful"),
        pytest.param([0.0, 0.0, 0.0, 0.0], [1, 1, 1, 1], id="all masked and hopeless"),
    ],
)
def test_every_policy_at_the_edges(policy, confidence, masked):
    [chosen] = commits(policy, [confidence], [masked])
    assert [a <= b for a, b in zip(chosen, masked, strict=True)] == [True] * 4
    assert sum(chosen) >= min(1, sum(masked))
    if sum(masked) == 1:
        assert chosen == masked


@pytest.mark.parametrize("policy", REGISTERED)
def test_invariant_21_ties_go_to_the_lowest_position(policy):
    [chosen] = commits(policy, [[0.3, 0.3, 0.3, 0.3, 0.3]], [[0, 1, 1, 1, 1]])
    assert chosen[0] == 0 and chosen[1:] == sorted(chosen[1:], reverse=True)


@pytest.mark.parametrize("policy", REGISTERED)
def test_every_policy_keeps_what_register_asks_of_a_users_own(policy):
    check_policy(policy)


def test_quota_splits_a_block_over_its_steps():
    masked = torch.tensor(
        [[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    ).bool()
    assert quota(masked, 3).flatten().tolist() == [2, 2, 1, 1, 1]
    assert quota(masked, None).flatten().tolist() == [1] * 5
    assert quota(masked, 1).flatten().tolist() == [4] * 5
    assert quota(masked, 9).flatten().tolist() == [1] * 5


def test_the_best_of_each_run_of_masks():
    values = torch.tensor([[0.5, 0.7, 0.9, 0.2, 0.1, 0.1]])
    masked = torch.tensor([[1, 1, 0, 1, 0, 1]]).bool()
    assert first_of_run(values, masked).int().tolist() == [[0, 1, 0, 1, 0, 1]]
    assert not first_of_run(values, masked & False).any()


windows = st.integers(1, 12).flatmap(
    lambda width: st.tuples(
        st.lists(
            st.sampled_from([0.0, 0.3, 0.74, 0.75, 0.76, 0.89, 0.9, 0.91, 1.0]),
            min_size=width,
            max_size=width,
        ),
        st.lists(st.booleans(), min_size=width, max_size=width),
    )
)


@pytest.mark.parametrize("policy", REGISTERED)
@settings(max_examples=60, deadline=None)
@given(window=windows)
def test_invariant_21_never_empty_and_only_masked_positions(policy, window):
    confidence, masked = window
    [chosen] = commits(policy, [confidence], [masked])
    assert all(mask for commit, mask in zip(chosen, masked, strict=True) if commit)
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
    assert commits(Threshold(1.0), [confidence], [masked]) == commits(
        TopK(1), [confidence], [masked]
    )


@settings(max_examples=60, deadline=None)
@given(window=windows)
def test_sdar_static_in_single_steps_is_greedy_and_dynamic_at_one_is_static(window):
    greedy = commits(TopK(1), [window[0]], [window[1]])
    assert commits(SdarStatic(), [window[0]], [window[1]]) == greedy
    assert commits(SdarDynamic(1.0), [window[0]], [window[1]]) == greedy


@settings(max_examples=60, deadline=None)
@given(window=windows)
def test_factor_and_entropy_bound_commit_a_prefix_of_their_ranking(window):
    values, masked = window
    for policy, sign in ((Factor(1.0), -1), (EntropyBound(0.4), 1)):
        [chosen] = commits(policy, [values], [masked])
        ranked = sorted((sign * value, at) for at, value in enumerate(values) if masked[at])
        taken = [chosen[at] for _, at in ranked]
        assert taken == sorted(taken, reverse=True)


@settings(max_examples=60, deadline=None)
@given(window=windows, low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_lower_threshold_commits_no_less(window, low, high):
    low, high = sorted((low, high))
    [few], [many] = (commits(Threshold(t), [window[0]], [window[1]]) for t in (high, low))
    assert all(b >= a for a, b in zip(few, many, strict=True))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Threshold(1.5), "threshold must be a number between 0 and 1"),
        (lambda: Threshold(-0.1), "threshold must be a number between 0 and 1"),
        (lambda: Threshold(float("nan")), "threshold must be a number between 0 and 1"),
        (lambda: LocalLeap(relaxed_threshold="high"), "relaxed_threshold must be a number"),
        (lambda: LocalLeap(radius=-1), "radius must be a whole number of at least 0"),
        (lambda: TopK(0), "k must be a whole number of at least 1"),
        (lambda: Factor(-1), "factor must be a number of at least 0"),
        (lambda: EntropyBound(float("nan")), "bound must be a number of at least 0"),
        (lambda: Entropy("low"), "most must be a number of at least 0"),
        (lambda: Margin(2), "threshold must be a number between 0 and 1"),
        (lambda: SdarStatic(0), "steps must be a whole number of at least 1"),
        (lambda: SdarSequential(1.5), "steps must be a whole number of at least 1"),
        (lambda: Klass(steps=0), "steps must be a whole number of at least 1"),
        (lambda: Credit(decay=1.5), "decay must be a number between 0 and 1"),
        (lambda: Wino(least=5, most=4), "most must be a whole number of at least 5"),
        (lambda: Judged(ratio=-1), "ratio must be a number between 0 and 1"),
        (lambda: LeftToRight(1.5), "k must be a whole number of at least 1"),
    ],
)
def test_impossible_values_are_refused(make, words):
    with pytest.raises(UserError, match=words):
        make()
