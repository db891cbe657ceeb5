"""Invariants of exactness, budget and mechanics; each test is named after the number it has in
docs/invariants.md.

They run on tiny random float32 models with block-causal and with fully bidirectional attention,
against a reference that decodes one sequence, one state and one forward at a time.
"""

import math

import pytest
import torch
from support.configs import GEN, PAPER_POLICIES, config, run, with_drafter
from support.drafters import Garbage
from support.models import make_model, make_prompts
from support.reference import reference_states, scores_of, traced_states

import psd_lib
from psd_lib import decode
from psd_lib.core.chain import Chain
from psd_lib.core.states import Drafts

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")

MODELS = [
    pytest.param(
        (seed, future, bonus),
        id=f"{seed}-{'bidirectional' if future else 'block-causal'}-eos{bonus:g}",
    )
    for seed, future, bonus in [(0, False, 0.0), (1, False, 6.0), (2, True, 0.0), (3, True, 6.0)]
]


@pytest.fixture(params=MODELS)
def model(request):
    seed, future, bonus = request.param
    return make_model(seed, future, bonus)


@pytest.mark.parametrize("policy", PAPER_POLICIES)
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_invariant_1_and_9_replay_is_the_reference_trajectory_state_by_state(
    model, policy, temperature
):
    prompts = make_prompts(7)
    for builder in (
        {"depth": 1},
        {"depth": 3},
        {"depth": 7},
        {"depth": 3, "tokens_per_level": 2},
        {"depth": 3, "tokens_per_level": "policy"},
    ):
        settings = config(policy, temperature=temperature, seed=5, **builder)
        for index, (prompt, sequence) in enumerate(
            zip(prompts, run(model, prompts, settings), strict=True)
        ):
            assert traced_states(model, prompt, sequence) == reference_states(
                model, prompt, settings, index
            )


@pytest.mark.parametrize("policy", PAPER_POLICIES)
def test_invariant_2_depth_0_is_the_bare_policy_in_tokens_and_calls(model, policy):
    prompts = make_prompts(8)
    for prompt, sequence in zip(prompts, run(model, prompts, config(policy, depth=0)), strict=True):
        states = reference_states(model, prompt, config(policy))
        assert traced_states(model, prompt, sequence) == states
        assert sequence.nfe == sequence.rows == len(states)


@pytest.mark.parametrize("depth", [1, 3, 7])
def test_invariant_4_subset_is_replay_for_one_token_a_step(model, depth):
    prompts = make_prompts(10)
    replay, subset = (
        run(model, prompts, config("top_k", depth=depth, acceptor=rule))
        for rule in ("replay", "subset")
    )
    for one, other in zip(replay, subset, strict=True):
        assert (one.tokens, one.nfe) == (other.tokens, other.nfe)


@pytest.mark.parametrize("k", [1, 2])
def test_invariant_5_token_chain_is_replay_when_the_order_is_fixed(model, k):
    prompts = make_prompts(11)
    options = {"k": k, "tokens_per_level": k, "depth": 3}
    replay, chain = (
        run(model, prompts, config("left_to_right", acceptor=rule, **options))
        for rule in ("replay", "token_chain")
    )
    for one, other in zip(replay, chain, strict=True):
        assert (one.tokens, one.nfe) == (other.tokens, other.nfe)
        assert (one.trace.step == other.trace.step).all()
    assert config("left_to_right", acceptor="token_chain", **options).exact


@pytest.mark.parametrize("rule", ["token_chain", "token_root"])
def test_invariant_5_token_agreement_is_not_replay_for_greedy(rule):
    """Kept so that nobody simplifies the acceptor: these seeds give other tokens under token
    agreement.
    """
    model, prompts = make_model(0), make_prompts(12)
    replay, chain = (
        run(model, prompts, config("top_k", depth=3, acceptor=name)) for name in ("replay", rule)
    )
    assert any(one.tokens != other.tokens for one, other in zip(replay, chain, strict=True))
    assert not config("top_k", depth=3, acceptor=rule).exact


@pytest.mark.parametrize("policy", ["top_k", "confidence"])
def test_invariant_6_and_10_garbage_drafts_change_nothing_and_cost_no_calls(model, policy):
    prompts = make_prompts(13)
    bare = run(model, prompts, config(policy, depth=0))
    garbage = run(model, prompts, with_drafter(config(policy), Garbage(depth=5)))
    for one, other in zip(bare, garbage, strict=True):
        assert one.tokens == other.tokens and (one.trace.step == other.trace.step).all()
        assert other.nfe <= one.nfe


class Oracle(Chain):
    """The true next states of one sequence that is a single block."""

    def draft(self, step):
        here = step.node0[0].tolist()
        at = self.future.index(here) if here in self.future else None
        coming = [] if at is None else self.future[at + 1 : at + 1 + self.depth]
        states = [here, *coming]
        padded = states + [states[-1]] * (self.depth + 1 - len(states))
        valid = torch.arange(self.depth + 1)[None] < len(states)
        return Drafts(torch.tensor([padded]), valid, torch.arange(self.depth + 1)[None])


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 5, 11, 40])
@pytest.mark.parametrize("policy", ["top_k", "confidence"])
def test_invariant_7_an_oracle_needs_the_fewest_calls_possible(policy, depth):
    model, prompt = make_model(2, sees_future=True), make_prompts(14, 1)[0]
    settings = config(policy, gen_length=24, block_length=24)
    states = reference_states(model, prompt, settings)
    oracle = Oracle(depth=depth)
    object.__setattr__(oracle, "future", [state[len(prompt) :] for state in states])
    [sequence] = run(model, [prompt], with_drafter(settings, oracle))
    assert traced_states(model, prompt, sequence) == states
    assert sequence.nfe == 1 + math.ceil((len(states) - 1) / (depth + 1))


class Shuffled(Chain):
    """The chain's nodes above node 0 in reverse, each of them twice."""

    def draft(self, step):
        drafts = super().draft(step)
        index = torch.tensor([0, *range(self.depth, 0, -1), *range(1, self.depth + 1)])
        return Drafts(drafts.tokens[:, index], drafts.valid[:, index], drafts.level[:, index])


@pytest.mark.parametrize("rule", ["replay", "subset", "token_chain", "token_root"])
def test_invariant_8_order_and_duplicates_of_nodes_do_not_matter(model, rule):
    prompts = make_prompts(15)
    settings = config("confidence", depth=4, acceptor=rule)
    chain, shuffled = (
        run(model, prompts, settings),
        run(model, prompts, with_drafter(settings, Shuffled(depth=4))),
    )
    for one, other in zip(chain, shuffled, strict=True):
        assert (one.tokens, one.nfe) == (other.tokens, other.nfe)
        assert (one.trace.step == other.trace.step).all()


@pytest.mark.parametrize("policy", PAPER_POLICIES)
@pytest.mark.parametrize("depth", [1, 3, 7])
def test_invariant_10_11_and_12_budget(model, policy, depth):
    prompts = make_prompts(16)
    bare = run(model, prompts, config(policy, depth=0))
    for one, other in zip(bare, run(model, prompts, config(policy, depth=depth)), strict=True):
        assert other.nfe <= one.nfe
        assert len(other.trace.iterations) <= one.nfe
        assert all(entry["committed"] >= 1 + entry["accepted"] for entry in other.trace.iterations)
        assert all(
            entry["rows"] <= depth + 1 and entry["drafted"] <= depth
            for entry in other.trace.iterations
        )
        assert other.rows == 1 + sum(entry["rows"] for entry in other.trace.iterations)


def test_invariant_12_nodes_extend_node_0_by_real_tokens_inside_the_window(model):
    seen = []

    class Spy(Chain):
        def draft(self, step):
            drafts = super().draft(step)
            # finished sequences have no scores
            live = ~(step.masked & (step.scores.token == model.mask_id)).any(-1)
            seen.append(
                (
                    step.node0[live],
                    Drafts(drafts.tokens[live], drafts.valid[live], drafts.level[live]),
                )
            )
            return drafts

    run(model, make_prompts(17), with_drafter(config("confidence"), Spy(depth=5)))
    added = 0
    for node0, drafts in seen:
        decided = (node0 != model.mask_id)[:, None]
        assert torch.equal(drafts.tokens[:, 0], node0)
        assert torch.where(decided, drafts.tokens == node0[:, None], True).all()
        counts = (drafts.tokens != model.mask_id).sum(-1)
        grows = counts[:, 1:] > counts[:, :-1]
        assert torch.equal(grows & drafts.valid[:, 1:], drafts.valid[:, 1:])
        added += int(drafts.valid[:, 1:].sum())
    assert added > 0


@pytest.mark.parametrize("depth", [0, 3])
def test_invariant_16_inherited_scores_are_those_of_a_fresh_call(model, depth):
    prompts, settings = make_prompts(18, 3), config("confidence", depth=depth)
    for prompt, sequence in zip(
        prompts, run(model, prompts, settings, record_scores=True), strict=True
    ):
        states = [prompt + [model.mask_id] * GEN, *traced_states(model, prompt, sequence)]
        origin = 0 if model.family.absolute_blocks else len(prompt)
        block_of = [(position - origin) // 8 for position in range(len(prompt) + GEN)]
        begin = len(prompt) // 8 * 8 if model.family.absolute_blocks else len(prompt)
        assert len(sequence.trace.scores) == len(sequence.trace.iterations)
        for entry, iteration in zip(sequence.trace.scores, sequence.trace.iterations, strict=True):
            steps = sequence.trace.step[sequence.trace.iteration == entry["iteration"]]
            fresh = scores_of(
                model,
                states[int(steps.min())],
                begin + 8 * iteration["block"],
                8,
                block_of,
                settings,
                0,
            )
            at = torch.tensor(entry["positions"] + len(prompt) - begin - 8 * iteration["block"])
            assert fresh.token[at].tolist() == entry["token"].tolist()
            torch.testing.assert_close(
                fresh.confidence[at], torch.tensor(entry["confidence"]), atol=1e-4, rtol=1e-3
            )


def test_invariant_18_drafts_stop_at_the_block_end_and_the_last_step_is_free(model):
    prompts = make_prompts(19)
    for sequence in run(model, prompts, config("left_to_right", k=1, depth=7)):
        assert all(entry["committed"] <= 8 for entry in sequence.trace.iterations)
        assert sequence.trace.iterations[-1]["rows"] < 8
    one_by_one = run(model, prompts, config("top_k", block_length=1, depth=7))
    for one, other in zip(
        run(model, prompts, config("top_k", block_length=1, depth=0)), one_by_one, strict=True
    ):
        assert (one.tokens, one.nfe, one.rows) == (other.tokens, other.nfe, other.rows)


@pytest.mark.parametrize("depth", [0, 3, 7])
def test_invariant_19_stops_at_the_first_eos_with_nothing_open_before_it(depth):
    model, prompts = make_model(1, eos_bonus=8.0), make_prompts(20, 12)
    out = run(model, prompts, config("confidence", depth=depth))
    assert {sequence.stopped for sequence in out} >= {"eos"}
    for prompt, sequence in zip(prompts, out, strict=True):
        generated = sequence.trace.tokens.tolist()
        if sequence.stopped == "eos":
            first = generated.index(model.eos_id)
            assert sequence.tokens == generated[:first] and -1 not in sequence.tokens
            states = [prompt + [model.mask_id] * GEN, *traced_states(model, prompt, sequence)]
            before = states[-2][len(prompt) :]
            cut = before.index(model.eos_id) if model.eos_id in before else len(before)
            assert model.mask_id in before[:cut]  # one step earlier it was not over
        assert sequence.tpf == len(sequence.tokens) / sequence.nfe


def test_invariant_19_prompt_tokens_that_are_eos_do_not_end_the_sequence():
    model = make_model(0)
    [sequence] = run(model, [[5, model.eos_id, 7]], config("top_k"))
    assert sequence.trace.step.max() > 0


def test_invariant_15_batch_composition_does_not_change_outputs(model):
    prompts = make_prompts(21, 9)
    together = psd_lib.generate(
        model, prompts, config=config("confidence", temperature=0.5), batch_size=9
    )
    for size in (1, 4):
        for one, other in zip(
            together,
            psd_lib.generate(
                model, prompts, config=config("confidence", temperature=0.5), batch_size=size
            ),
            strict=True,
        ):
            assert (one.tokens, one.nfe, one.rows, one.query_tokens) == (
                other.tokens,
                other.nfe,
                other.rows,
                other.query_tokens,
            )


def test_the_ledger_adds_up(model):
    out = run(model, make_prompts(22), config("confidence", depth=3))
    assert out.ledger.rows == sum(sequence.rows for sequence in out)
    assert out.ledger.query_tokens == sum(sequence.query_tokens for sequence in out)
    assert sum(forward.sequences for forward in out.ledger.forwards) == sum(
        sequence.nfe for sequence in out
    )
    assert 0 < out.ledger.model_ms < out.ledger.total_ms
    assert math.isclose(sum(s.model_ms for s in out), out.ledger.model_ms, rel_tol=1e-6)


def test_the_host_is_read_once_an_iteration(monkeypatch):
    """Everything that decides on the host goes through one `.cpu()`; nothing else synchronises."""
    model, reads, calls = make_model(0), [], []
    original, forward = torch.Tensor.cpu, model.denoiser.logits
    monkeypatch.setattr(
        torch.Tensor, "cpu", lambda tensor: reads.append(tensor.shape) or original(tensor)
    )
    monkeypatch.setattr(
        model.denoiser, "logits", lambda *request: calls.append(len(reads)) or forward(*request)
    )
    for name in ("item", "tolist", "__bool__", "__int__", "__float__"):
        method = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor,
            name,
            lambda tensor, _m=method: (
                (calls and tensor.numel() > 64 and pytest.fail("sync")) or _m(tensor)
            ),
        )
    settings = config("confidence", depth=3)
    decode(model.denoiser, make_prompts(23, 4), settings, 8)
    assert calls == list(range(1, len(calls) + 1))
