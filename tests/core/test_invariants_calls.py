"""Invariants of what a call is: equal predictions in every layout, one copy of stored keys, no call
that only stores.
"""

import itertools

import pytest
import torch
from support.configs import config, run, with_drafter
from support.drafters import Garbage
from support.models import make_model, make_prompts

from psd_lib.core.cache import ForwardRequest, NoCache
from psd_lib.core.canvas import Canvas
from psd_lib.core.policies import TopK
from psd_lib.core.scores import Scores, ban
from psd_lib.methods.exact_block import ExactBlock
from psd_lib.methods.order_swap import order_swap
from psd_lib.methods.spiffy import Calibrated
from psd_lib.methods.spiffy.graph import CalibratedGraph
from psd_lib.testing import step_of

M = 1  # the mask token
NEVER_ENDS = -1e4  # added to the end-of-sequence logit


def guesses(canvas, count=4):
    """Random states above every window, `[S, count, W]`; the last of each is complete, so the next
    block is asked about.
    """
    generator = torch.Generator().manual_seed(3)
    tokens, masked = canvas.window()
    shape = (len(tokens), count, canvas.width)
    filled = torch.rand(shape, generator=generator) < 0.4
    filled[:, -1], filled[:, 0] = True, False
    return torch.where(
        masked[:, None] & filled, torch.randint(2, 30, shape, generator=generator), tokens[:, None]
    )


def predictions(model, plan, prompts, states):
    """Banned logits `[n, V]` of what is masked in `states` from one call, the prompt having been
    read in one before.
    """
    canvas = Canvas(model.denoiser, prompts, 24, 8, "cpu")
    session = plan.open(model.denoiser, canvas)
    tokens, masked = canvas.window()
    session.forward(
        ForwardRequest(
            tokens[:, None],
            masked[:, None],
            torch.zeros(len(prompts), 1, dtype=torch.bool),
            canvas.start,
        )
    )
    complete = ~(states == M).any(-1)
    wanted = torch.where(complete[..., None], canvas.window(ahead=1)[1][:, None], states == M)
    logits = session.forward(ForwardRequest(states, wanted, complete, canvas.start)).logits
    return ban(logits, M, model.denoiser.vocab_size)


@pytest.mark.parametrize("future", [False, True], ids=["block-causal", "bidirectional"])
def test_invariant_15_batched_packed_and_single_calls_predict_the_same(future):
    model, prompts = make_model(6, future), make_prompts(91, 3)
    states = guesses(Canvas(model.denoiser, prompts, 24, 8, "cpu"))
    one_by_one = torch.cat(
        [
            predictions(model, NoCache(), [prompt], states[s : s + 1, n : n + 1])
            for s, prompt in enumerate(prompts)
            for n in range(states.shape[1])
        ]
    )
    for plan in (NoCache(),) if future else (NoCache(), ExactBlock()):
        together = predictions(model, plan, prompts, states)
        torch.testing.assert_close(together, one_by_one, atol=1e-4, rtol=1e-4)
        assert torch.equal(together.argmax(-1), one_by_one.argmax(-1))


def test_invariant_17_all_states_read_one_copy_of_the_store_and_failed_drafts_leave_it_alone(
    monkeypatch,
):
    model, prompt, calls = make_model(2, eos_bonus=NEVER_ENDS), make_prompts(92, 1), []
    logits = model.denoiser.denoiser.logits

    def spy(ids, positions, visible, row, column, stored=None, new=None):
        if stored:
            assert all(len(part) == len(ids) == 1 for layer in stored for part in layer)
            calls.append((ids.shape[1] // 8, [part.clone() for layer in stored for part in layer]))
        return logits(ids, positions, visible, row, column, stored=stored, new=new)

    monkeypatch.setattr(model.denoiser.denoiser, "logits", spy)
    [sequence] = run(
        model, prompt, with_drafter(config("top_k", cache="exact_block"), Garbage(depth=5))
    )
    assert sum(entry["drafted"] - entry["accepted"] for entry in sequence.trace.iterations) > 0
    assert (
        max(states for states, _ in calls) > 3
    )  # several guessed states in the one row that reads the store
    for (_, before), (_, after) in itertools.pairwise(calls):
        for kept, now in zip(before, after, strict=True):
            assert torch.equal(kept, now[:, :, : kept.shape[2]])  # bit for bit


@pytest.mark.parametrize("cache", ["none", "exact_block"])
def test_invariant_13_and_20_static_decoding_gives_one_token_a_call_and_no_call_only_stores(
    cache,
):
    """With a call of its own to store a block of B, static decoding would give B / (B + 1) tokens a
    call; ours is fused: B / B.
    """
    model, prompts = make_model(4, eos_bonus=NEVER_ENDS), make_prompts(93, 3)
    static = run(model, prompts, config("top_k", depth=0, cache=cache))
    assert [sequence.tpf for sequence in static] == [1.0] * 3
    drafted = run(model, prompts, config("top_k", depth=3, cache=cache))
    hopeless = run(model, prompts, with_drafter(config("top_k", cache=cache), Garbage(depth=3)))
    assert sum(s.nfe for s in drafted) < sum(s.nfe for s in hopeless) <= sum(s.nfe for s in static)
    for sequence in (*static, *drafted, *hopeless):
        calls = [entry for entry in sequence.trace.iterations if entry["rows"]]
        assert sequence.nfe == 1 + len(
            calls
        )  # the first call, and one an iteration unless nothing is left to ask
        assert sequence.n_tokens == 29


@pytest.mark.parametrize("keep", [1, 3, 6])
def test_invariant_22_pruning_keeps_a_subset_of_the_nodes(keep):
    generator = torch.Generator().manual_seed(keep)
    graph = CalibratedGraph(order_swap(11), 8, "literal", "")
    masked = torch.rand(20, 8, generator=generator) < 0.5
    node0 = torch.where(masked, M, 5)
    stale = Scores(
        torch.randint(2, 30, (20, 8), generator=generator), torch.rand(20, 8, generator=generator)
    )
    drafters = [Calibrated(graph, 11, kept) for kept in (None, keep)]
    full, pruned = (
        drafter.draft(step_of(node0, masked, stale, TopK(1), masked.sum(-1)))
        for drafter in drafters
    )
    assert (
        torch.equal(full.tokens, pruned.tokens)
        and not (pruned.valid & ~full.valid).any()
        and pruned.valid[:, 0].all()
    )
    assert torch.equal(pruned.valid[:, 1:].sum(-1), full.valid[:, 1:].sum(-1).clamp(max=keep))
