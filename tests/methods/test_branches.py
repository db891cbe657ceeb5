"""Branching decoders (LoPA, FDM, ETE): drafters and acceptors on literal tensors, and against one
branch at a time.
"""

import math
from dataclasses import replace

import pytest
import torch
from support.configs import GEN, run
from support.models import make_model, make_prompts
from support.reference import decode_one_by_one, filled, masks

from psd_lib import DecodeConfig
from psd_lib.core.policies import Threshold, TopK
from psd_lib.core.scores import Scores
from psd_lib.core.states import Drafts, Verified
from psd_lib.core.strategy import Step
from psd_lib.errors import UserError
from psd_lib.methods.ete import Explore, LargestStep
from psd_lib.methods.fdm import Candidates, Foresight
from psd_lib.methods.lopa import BestMean, Lookahead
from psd_lib.testing import step_of

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")
M = 1  # the mask token
NODE0 = torch.tensor([[7, M, M, M], [7, 8, M, 9]])
STALE = Scores(
    torch.tensor([[7, 1, 2, 3], [7, 8, 4, 9]]),
    torch.tensor([[0.0, 0.3, 0.6, 0.5], [0.0, 0.0, 0.2, 0.0]]),
)
ONE = torch.tensor([1, 1])


def test_lookahead_docstring_example():
    drafts = Lookahead(2).draft(step_of(NODE0, NODE0 == M, STALE, Threshold(), ONE))
    assert drafts.tokens[0].tolist() == [[7, M, M, M], [7, M, 2, M], [7, M, M, 3]]
    assert drafts.tokens[1, :2].tolist() == [[7, 8, M, 9], [7, 8, 4, 9]]
    assert drafts.valid.tolist() == [[True, True, True], [True, True, False]]


GREEDY = TopK(1)


def rivals(plug, policy=GREEDY, state=NODE0, stale=STALE):
    masked = state == M
    commit = policy.select(stale, masked) & masked
    node0 = torch.where(commit, stale.token, state)
    return plug.draft(Step(state, masked, stale, node0, masked & ~commit, commit.sum(-1), policy))


def test_candidates_docstring_example():
    drafts = rivals(Candidates(2))
    assert drafts.tokens[0].tolist() == [[7, M, 2, M], [7, M, M, 3]]
    assert drafts.tokens[1, 0].tolist() == [7, 8, 4, 9]
    assert drafts.valid.tolist() == [[True, True], [True, False]]
    torch.testing.assert_close(drafts.log_prior[0].exp(), torch.tensor([0.6, 0.5]))


def test_candidates_below_gamma_are_dropped_but_one_stays():
    assert rivals(Candidates(3, gamma=0.4)).valid.tolist() == [
        [True, True, False],
        [True, False, False],
    ]
    assert rivals(Candidates(3, gamma=0.9)).valid.tolist() == [
        [True, False, False],
        [True, False, False],
    ]


def test_candidates_search_only_where_the_threshold_is_missed():
    assert rivals(Candidates(3), Threshold(0.55)).valid.tolist() == [
        [True, False, False],
        [True, False, False],
    ]
    assert rivals(Candidates(3), Threshold(0.4)).valid.tolist() == [
        [True, False, False],
        [True, False, False],
    ]
    assert rivals(Candidates(3), Threshold(0.9)).valid.tolist() == [
        [True, True, True],
        [True, False, False],
    ]


TWO = Explore(2)


def explored(taken, plug=TWO):
    best = torch.tensor([[[0, 0], [1, 5], [2, 6], [3, 7]], [[0, 0], [0, 0], [4, 8], [0, 0]]])
    scores = replace(STALE, top_tokens=best, top_confidence=torch.zeros(best.shape))
    return plug.draft(step_of(NODE0, NODE0 == M, scores, Threshold(), torch.tensor(taken)))


def test_explore_docstring_example():
    drafts = explored([1, 1])
    assert drafts.tokens.tolist() == [
        [[7, M, M, M], [7, 1, M, M], [7, 5, M, M]],
        [[7, 8, M, 9], [7, 8, 4, 9], [7, 8, 8, 9]],
    ]
    assert drafts.valid.all()


def test_explore_only_where_the_step_was_small():
    assert explored([2, 1]).valid.tolist() == [[True, False, False], [True, True, True]]
    assert explored([2, 3], Explore(2, enough=3)).valid.tolist() == [
        [True, True, True],
        [True, False, False],
    ]


def choose(acceptor, states, confidence, targets=None, valid=None, prior=None):
    tokens = torch.tensor([states])
    masked = tokens == M
    targets = tokens if targets is None else torch.tensor([targets])
    valid = (
        torch.ones(tokens.shape[:2], dtype=torch.bool) if valid is None else torch.tensor([valid])
    )
    prior = None if prior is None else torch.tensor([prior]).log()
    drafts = Drafts(tokens, valid, torch.zeros_like(tokens[..., 0]), prior)
    scores = Scores(tokens, torch.tensor([confidence]))
    path = acceptor.accept(drafts, Verified(scores, masked, targets, valid & masked.any(-1)))
    return path.nodes[0, : path.length[0]].tolist()


def test_best_mean_takes_the_surest_remainder_and_ties_stay():
    states = [[M, M, M], [M, 3, M], [M, M, 4]]
    assert choose(BestMean(), states, [[0.4, 0.5, 0.6], [0.8, 0.0, 0.4], [0.1, 0.2, 0]]) == [0, 1]
    assert choose(BestMean(), states, [[0.4, 0.5, 0.6], [0.5, 0.0, 0.5], [0.5, 0.5, 0]]) == [0]
    assert choose(
        BestMean(),
        states,
        [[0.4, 0.5, 0.6], [0.8, 0.0, 0.4], [0.9, 0.9, 0]],
        valid=[True, True, False],
    ) == [0, 1]


def test_best_mean_takes_a_complete_branch_and_nothing_leads_on_from_a_complete_anchor():
    assert choose(BestMean(), [[M, 2, 3], [9, 2, 3]], [[0.9, 0, 0], [0.1, 0.1, 0.1]]) == [0, 1]
    assert choose(BestMean(), [[9, 2, 3], [9, 2, 3]], [[0.1] * 3, [0.9] * 3]) == [0]


def test_foresight_replaces_node_0():
    states = [[5, M, M], [M, 6, M]]
    assert choose(Foresight(), states, [[0, 0.5, 0.5], [0.7, 0, 0.7]], prior=[0.9, 0.8]) == [1]
    assert choose(Foresight(), states, [[0, 0.5, 0.5], [0.5, 0, 0.5]], prior=[0.9, 0.8]) == [0]
    assert choose(
        Foresight(), states, [[0, 0.5, 0.5], [0.7, 0, 0.7]], prior=[0.8, 0.8], valid=[True, False]
    ) == [0]


def test_largest_step_takes_a_branch_where_there_is_one():
    states = [[M, M, M], [2, M, M], [3, M, M]]
    one, three = [[4, M, M], [2, 5, M], [3, 5, 6]], [[4, 5, 6], [2, 5, M], [3, 5, M]]
    assert choose(LargestStep(), states, [[0.0] * 3] * 3, one) == [0, 2]
    assert choose(LargestStep(), states, [[0.0] * 3] * 3, three) == [
        0,
        1,
    ]  # a tie goes to the likelier token
    assert choose(LargestStep(), states, [[0.0] * 3] * 3, three, valid=[True, False, False]) == [0]


def ended(model, state):
    """Whether nothing is masked before an EOS: only asked of windows without prompt tokens that are
    EOS.
    """
    return model.eos_id in state and M not in state[: state.index(model.eos_id)]


def threshold_step(scores, state, tau):
    left = masks(state)
    sure = [i for i in left if scores.confidence[i] >= tau] or [
        max(left, key=lambda i: (scores.confidence[i], -i))
    ]
    return filled(state, {i: int(scores.token[i]) for i in sure})


def lopa(model, k, tau):
    def round_of(scores_at, state):
        scores = scores_at(state)
        anchor = threshold_step(scores, state, tau)
        if not masks(anchor) or ended(model, anchor):
            return anchor
        best = sorted(masks(anchor), key=lambda i: (-scores.confidence[i], i))[:k]
        states = [anchor, *(filled(anchor, {i: int(scores.token[i])}) for i in best)]
        means = []
        for rival in states:
            left = [] if ended(model, rival) else masks(rival)
            means.append(float(scores_at(rival).confidence[left].mean()) if left else 1.0)
        return states[means.index(max(means))]

    return round_of


def fdm(model, k):
    def round_of(scores_at, state):
        scores = scores_at(state)
        best = sorted(masks(state), key=lambda i: (-scores.confidence[i], i))[:k]
        states = [filled(state, {i: int(scores.token[i])}) for i in best]
        if len(states) == 1:
            return states[0]
        values = []
        for i, rival in zip(best, states, strict=True):
            left = [] if ended(model, rival) else masks(rival)
            values.append(
                math.log(scores.confidence[i])
                + (float(scores_at(rival).confidence[left].log().mean()) if left else 0.0)
            )
        return states[values.index(max(values))]

    return round_of


def ete(model, k, tau):
    def round_of(scores_at, state):
        scores = scores_at(state)
        node0 = threshold_step(scores, state, tau)
        taken = len(masks(state)) - len(masks(node0))
        if not masks(node0) or ended(model, node0) or taken >= 2:
            return node0
        spot = min(masks(node0), key=lambda i: (scores.confidence[i], i))
        sizes, states = (
            [],
            [filled(node0, {spot: token}) for token in best_at(scores_at, state, spot, k)],
        )
        for rival in states:
            left = [] if ended(model, rival) else masks(rival)
            sizes.append(
                max(1, int((scores_at(rival).confidence[left] >= tau).sum())) if left else 99
            )
        return states[sizes.index(max(sizes))]

    def best_at(scores_at, state, spot, k):
        seen = []
        original = model.denoiser.logits

        def spy(*request):
            seen.append(original(*request))
            return seen[-1]

        object.__setattr__(model.denoiser, "logits", spy)
        scores_at(state)
        object.__delattr__(model.denoiser, "logits")
        logits = seen[0][spot, :30].clone()
        logits[M] = -math.inf
        return torch.sort(logits, descending=True, stable=True).indices[:k].tolist()

    return round_of


CASES = {
    "lopa": ("confidence", Lookahead(3), BestMean(), lambda model: lopa(model, 3, 0.6)),
    "fdm": ("top_k", Candidates(3), Foresight(), lambda model: fdm(model, 3)),
    "ete": ("confidence", Explore(3), LargestStep(), lambda model: ete(model, 3, 0.6)),
}


@pytest.mark.parametrize(
    "spec", [(1, False, 5.0), (3, True, 5.0)], ids=["block-causal", "bidirectional"]
)
@pytest.mark.parametrize("name", CASES)
def test_branching_decoders_are_what_one_branch_at_a_time_gives(name, spec):
    policy, drafter, acceptor, round_of = CASES[name]
    model, prompts = make_model(*spec), make_prompts(41, 5)
    options = {"threshold": 0.6} if policy == "confidence" else {"k": 1}
    settings = DecodeConfig.make("psd", policy=policy, gen_length=GEN, **options)
    settings = replace(settings, drafter=drafter, acceptor=acceptor)
    assert not settings.exact
    searched = 0
    for prompt, sequence in zip(prompts, run(model, prompts, settings), strict=True):
        assert sequence.tokens == [
            t for t in decode_one_by_one(model, prompt, 8, round_of(model)) if t != model.eos_id
        ]
        searched += sum(entry["drafted"] for entry in sequence.trace.iterations)
        committed = int((sequence.trace.step >= 0).sum())
        assert sum(entry["committed"] for entry in sequence.trace.iterations) == committed
    assert searched > 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Lookahead(-1),
        lambda: Candidates(0),
        lambda: Candidates(2, 1.5),
        lambda: Explore(0),
        lambda: Explore(2, 0),
    ],
    ids=["lookahead", "candidates", "gamma", "explore", "enough"],
)
def test_impossible_branches_are_refused(make):
    with pytest.raises(UserError):
        make()


@pytest.mark.parametrize(
    "plug",
    [Lookahead(), Candidates(), Explore(), BestMean(), Foresight(), LargestStep()],
    ids=lambda plug: plug.name,
)
def test_reconstructions_say_so(plug):
    assert plug.reconstructed and len(plug.note) > 40
