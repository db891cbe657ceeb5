"""Draft graphs as data, and the states that they become on literal tensors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from psd_lib.core.chain import Chain
from psd_lib.core.policies import TopK
from psd_lib.core.scores import Scores
from psd_lib.errors import UserError
from psd_lib.methods.order_swap import OrderSwap, order_swap
from psd_lib.methods.spiffy.drafts import instantiate
from psd_lib.methods.spiffy.graph import Graph, chain
from psd_lib.methods.ssd import MixOrder, mix_order
from psd_lib.testing import step_of

M = 1  # the mask token


def positions(graph):
    return [[position for position, _ in formula] for formula in graph.formulas]


def test_order_swap_takes_the_cheapest_subsets_first():
    assert positions(order_swap(4, 3)) == [[0], [0, 1], [1], [0, 1, 2]]
    assert positions(order_swap(11)) == [
        [0],
        [0, 1],
        [1],
        [0, 1, 2],
        [0, 2],
        [1, 2],
        [0, 1, 2, 3],
        [2],
        [0, 1, 3],
        [0, 2, 3],
        [1, 2, 3],
    ]


def test_mix_order_interleaves_detours_and_without_width_it_is_the_chain():
    assert positions(mix_order(7)) == [[0], [0, 1], [1], [0, 1, 2], [0, 2], [0, 1, 2, 3], [0, 1, 3]]
    assert mix_order(5, 1) == chain(5)
    assert [0, 1, 2, 3, 4, 5, 6, 7, 8] in positions(mix_order(40)) and len(mix_order(40)) == 40


def test_a_node_has_every_largest_contained_node_as_a_parent():
    graph = Graph([[(1, 0)], [(0, 0)], [(1, 0), (0, 0)], [(0, 1)], [(2, 0), (0, 1), (1, 3)]])
    assert graph.formulas[2] == ((0, 0), (1, 0))
    assert graph.parents == ((), (0,), (0,), (1, 2), (0,), (4,))
    assert graph.levels == (0, 1, 1, 2, 1, 2)
    assert (graph.positions, graph.vocabulary) == (3, 4)


formulas = st.sets(
    st.dictionaries(st.integers(0, 4), st.integers(0, 2), min_size=1, max_size=4).map(
        lambda pairs: tuple(sorted(pairs.items()))
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=80, deadline=None)
@given(formulas=formulas)
def test_invariant_22_edges_follow_the_parent_rule(formulas):
    graph = Graph(tuple(sorted(formulas)))
    sets = [frozenset(), *map(frozenset, graph.formulas)]
    for child, parents in enumerate(graph.parents):
        assert bool(parents) == (child > 0)
        for parent in parents:
            assert sets[parent] < sets[child] and graph.levels[parent] < graph.levels[child]
            assert not any(sets[parent] < between < sets[child] for between in sets)
        one_fewer = {
            n
            for n, other in enumerate(sets)
            if other < sets[child] and len(other) == len(sets[child]) - 1
        }
        assert one_fewer <= set(parents)  # Spiffy's rule for one token a step


@pytest.mark.parametrize(
    ("formulas", "words"),
    [
        ([[]], "one or more pairs"),
        ([[(0, 0), (0, 1)]], "different position ranks"),
        ([[(0, -1)]], "whole numbers of at least 0"),
        ([[(0, 0), (1, 0)], [(1, 0), (0, 0)]], "the same formula twice"),
    ],
)
def test_impossible_graphs_are_refused(formulas, words):
    with pytest.raises(UserError, match=words):
        Graph(formulas)


def test_instantiate_docstring_example():
    node0 = torch.tensor([[7, M, M, 5], [7, 8, M, 5]])
    rank = torch.tensor([[2, 1, 0, 3], [1, 2, 0, 3]])
    tokens = torch.tensor([[[0, 0], [1, 2], [3, 4], [0, 0]], [[0, 0], [0, 0], [3, 4], [0, 0]]])
    drafts = instantiate(Graph([[(0, 0)], [(1, 1)]]), node0, node0 == M, rank, tokens)
    assert drafts.tokens[0].tolist() == [[7, M, M, 5], [7, M, 3, 5], [7, 2, M, 5]]
    assert drafts.tokens[1, :2].tolist() == [[7, 8, M, 5], [7, 8, 3, 5]]
    assert drafts.valid.tolist() == [[True, True, True], [True, True, False]]
    assert drafts.level.tolist() == [[0, 1, 1]] * 2


NODE0 = torch.tensor([[7, M, M, M], [7, 8, M, 9]])
STALE = Scores(
    torch.tensor([[7, 1, 2, 3], [7, 8, 4, 9]]),
    torch.tensor([[1.0, 0.3, 0.6, 0.5], [1.0, 1.0, 0.2, 1.0]]),
)


def build(drafter):
    return drafter.draft(step_of(NODE0, NODE0 == M, STALE, TopK(1), torch.tensor([1, 1])))


def test_order_swap_drafts_both_orders_of_the_two_best():
    drafts = build(OrderSwap(3))
    assert drafts.tokens[0].tolist() == [[7, M, M, M], [7, M, 2, M], [7, M, 2, 3], [7, M, M, 3]]
    assert drafts.valid.tolist() == [[True] * 4, [True, True, False, False]]
    assert drafts.level[0].tolist() == [0, 1, 2, 1]


def test_mix_order_drafts():
    drafts = build(MixOrder(5))
    states = [[7, M, M, M], [7, M, 2, M], [7, M, 2, 3], [7, M, M, 3], [7, 1, 2, 3], [7, 1, 2, M]]
    assert list(drafts.tokens[0].tolist()) == states


def test_a_chain_is_the_graph_of_nested_formulas():
    chained, nested = (
        build(Chain(3)),
        instantiate(
            chain(3),
            NODE0,
            NODE0 == M,
            torch.tensor([[3, 2, 0, 1], [1, 2, 0, 3]]),
            STALE.token[..., None],
        ),
    )
    assert torch.equal(chained.valid, nested.valid) and torch.equal(chained.level, nested.level)
    assert torch.equal(chained.tokens[chained.valid], nested.tokens[nested.valid])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OrderSwap(-1), "depth must be a whole number of at least 0"),
        (lambda: OrderSwap(3, 0), "span must be a whole number of at least 1"),
        (lambda: OrderSwap(8, 3), "at most 7 nodes, not 8; raise span"),
        (lambda: MixOrder(width=0), "width must be a whole number of at least 1"),
    ],
    ids=["depth", "span", "full", "width"],
)
def test_impossible_drafters_are_refused(make, words):
    with pytest.raises(UserError, match=words):
        make()
