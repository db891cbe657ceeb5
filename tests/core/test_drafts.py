"""The chain and the acceptors on literal states."""

import pytest
import torch

from psd_lib.core.accept import Replay
from psd_lib.core.chain import Chain
from psd_lib.core.policies import Threshold, TopK
from psd_lib.core.scores import Scores
from psd_lib.core.states import Drafts, Verified
from psd_lib.core.strategy import NoDraft
from psd_lib.errors import UserError
from psd_lib.methods.freedave import Subset
from psd_lib.methods.left_to_right import LeftToRight
from psd_lib.methods.token_agreement import TokenChain, TokenRoot
from psd_lib.testing import step_of

M = 1  # the mask token


GREEDY = TopK(1)


def build(drafter, node0, stale, confidence, taken, policy=GREEDY):
    node0 = torch.tensor(node0)
    scores = Scores(torch.tensor(stale), torch.tensor(confidence))
    return drafter.draft(step_of(node0, node0 == M, scores, policy, torch.tensor(taken)))


def test_chain_docstring_example():
    drafts = build(
        Chain(depth=2),
        [[7, M, M, M], [7, 8, M, 9]],
        [[7, 1, 2, 3], [7, 8, 4, 9]],
        [[1.0, 0.3, 0.6, 0.5], [1.0, 1.0, 0.2, 1.0]],
        [1, 1],
    )
    assert drafts.tokens[0].tolist() == [[7, M, M, M], [7, M, 2, M], [7, M, 2, 3]]
    assert drafts.tokens[1, :2].tolist() == [[7, 8, M, 9], [7, 8, 4, 9]]
    assert drafts.valid.tolist() == [[True, True, True], [True, True, False]]


def test_levels_as_large_as_the_policys_last_step():
    drafts = build(
        Chain(2, "policy"),
        [[M, M, M, M], [M, M, M, 9]],
        [[2, 3, 4, 5], [2, 3, 4, 9]],
        [[0.1, 0.2, 0.3, 0.4], [0.3, 0.2, 0.1, 0.9]],
        [2, 1],
    )
    assert drafts.tokens[0].tolist() == [[M, M, M, M], [M, M, 4, 5], [2, 3, 4, 5]]
    assert drafts.tokens[1].tolist() == [[M, M, M, 9], [2, M, M, 9], [2, 3, M, 9]]


def test_a_level_takes_what_is_left_and_no_level_is_empty():
    drafts = build(Chain(3, 2), [[M, M, M, 9]], [[2, 3, 4, 9]], [[0.3, 0.2, 0.1, 0.9]], [1])
    assert drafts.tokens[0, 2].tolist() == [2, 3, 4, 9]
    assert drafts.valid.tolist() == [[True, True, True, False]]


def test_chain_follows_the_policys_own_order():
    drafts = build(
        Chain(1), [[9, M, M, M]], [[9, 2, 3, 4]], [[1.0, 0.1, 0.9, 0.5]], [1], LeftToRight()
    )
    assert drafts.tokens[0, 1].tolist() == [9, 2, M, M]


def test_a_complete_block_and_no_drafter_have_node_0_alone():
    drafts = build(Chain(3), [[7, 8]], [[7, 8]], [[0.5, 0.5]], [1])
    assert drafts.valid.tolist() == [[True, False, False]]  # a window of two has two levels at most
    assert build(NoDraft(), [[7, M]], [[7, 8]], [[0.5, 0.5]], [1]).tokens.tolist() == [[[7, M]]]


@pytest.mark.parametrize(("depth", "size"), [(-1, 1), (1.5, 1), (1, 0), (1, "k")])
def test_impossible_chains_are_refused(depth, size):
    with pytest.raises(UserError):
        Chain(depth, size)


def chain_of(*states):
    tokens = torch.tensor([states])
    count = tokens.shape[1]
    return Drafts(tokens, torch.ones(1, count, dtype=torch.bool), torch.arange(count)[None])


def paths(acceptor, drafts, tokens, confidence, policy):
    """The walk's nodes, given what the model predicts at every node."""
    masked = drafts.tokens == M
    token = torch.where(masked, torch.tensor([tokens]), drafts.tokens)
    predicted = Scores(token, torch.tensor([confidence]))
    targets = torch.where(policy.select(predicted, masked), predicted.token, drafts.tokens)
    path = acceptor.accept(drafts, Verified(predicted, masked, targets, masked.any(-1)))
    return path.nodes[0, : path.length[0]].tolist()


DRAFTS = chain_of([7, M, M, M], [7, M, 2, M], [7, M, 2, 3], [7, 5, 2, 3])
AGREED = [[7, 5, 2, 3]] * 4


def test_replay_needs_the_policys_own_positions_and_tokens():
    same_order = [[1, 0.1, 0.6, 0.5]] * 4
    assert paths(Replay(), DRAFTS, AGREED, same_order, TopK(1)) == [0, 1, 2, 3]
    swapped = [[1, 0.1, 0.5, 0.6]] * 4  # same tokens, but the policy would take position 3 first
    assert paths(Replay(), DRAFTS, AGREED, swapped, TopK(1)) == [0]
    other_token = [[7, 5, 2, 3], [7, 5, 2, 8], [7, 5, 2, 3], [7, 5, 2, 3]]
    assert paths(Replay(), DRAFTS, other_token, same_order, TopK(1)) == [0, 1]


def test_replay_jumps_over_levels_when_the_policy_takes_several():
    confidence = [[1, 0.1, 0.95, 0.95], [0] * 4, [1, 0.1, 1, 1], [0] * 4]
    assert paths(Replay(), DRAFTS, AGREED, confidence, Threshold(0.9)) == [0, 2, 3]


def test_token_chain_ignores_where_the_policy_would_look():
    swapped = [[1, 0.1, 0.5, 0.6]] * 4
    assert paths(TokenChain(), DRAFTS, AGREED, swapped, TopK(1)) == [0, 1, 2, 3]
    late_change = [[7, 5, 2, 3], [7, 5, 2, 8], [7, 5, 2, 3], [7, 5, 2, 3]]
    assert paths(TokenChain(), DRAFTS, late_change, swapped, TopK(1)) == [0, 1]


def test_token_root_asks_node_0_only():
    late_change = [[7, 6, 2, 3], [7, 5, 2, 8], [7, 5, 2, 3], [7, 5, 2, 3]]
    assert paths(TokenRoot(), DRAFTS, late_change, [[1, 0.1, 0.5, 0.6]] * 4, TopK(1)) == [0, 2]


def test_subset_takes_the_largest_part_of_the_policys_step():
    everything = [[1, 0.95, 0.95, 0.95]] * 4
    short = Drafts(DRAFTS.tokens[:, :3], DRAFTS.valid[:, :3], DRAFTS.level[:, :3])
    assert paths(Subset(), short, AGREED[:3], everything[:3], Threshold(0.9)) == [0, 2]
    assert paths(Replay(), short, AGREED[:3], everything[:3], Threshold(0.9)) == [0]


def test_invalid_and_duplicate_nodes_do_not_matter():
    doubled = chain_of([7, M, M, M], [7, M, 2, M], [7, M, 2, M], [7, M, 2, 3])
    assert paths(Replay(), doubled, AGREED, [[1, 0.1, 0.6, 0.5]] * 4, TopK(1)) == [0, 1, 3]
    gone = Drafts(doubled.tokens, torch.tensor([[True, False, True, True]]), doubled.level)
    assert paths(Replay(), gone, AGREED, [[1, 0.1, 0.6, 0.5]] * 4, TopK(1)) == [0, 2, 3]
