"""SimSD: the packed mask and its leak, one round at a time against the packed row, rejection
sampling, refusals.
"""

from dataclasses import replace

import pytest
import torch
from support.configs import config, run
from support.models import make_model, make_prompts
from support.reference import decode_one_by_one, filled, masks

from psd_lib import DecodeConfig
from psd_lib.core.cache import ForwardRequest, FullForward
from psd_lib.core.canvas import Canvas
from psd_lib.core.scores import position_gumbel
from psd_lib.errors import UserError
from psd_lib.methods.packed_row import PackedRow, Revealed, packed_mask
from psd_lib.methods.simsd import Packed, Rejection, judge
from psd_lib.methods.token_agreement import TokenChain
from psd_lib.testing import fake_batch, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")
M = 1  # the mask token
TIMES = torch.tensor([[1, 3, 2, 4]])


def test_invariant_23_the_8_by_8_mask():
    rows = [
        "10000111",
        "11100001",
        "10100101",
        "11110000",
        "00001111",
        "10100101",
        "10000111",
        "11100001",
    ]
    assert packed_mask(TIMES)[0].int().tolist() == [[int(bit) for bit in row] for row in rows]
    assert packed_mask(torch.tensor([[2, 1]]))[0].int().tolist() == [
        [1, 1, 0, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 1, 1],
    ]


@pytest.mark.parametrize(
    "order", [[1, 3, 2, 4], [1, 2, 3, 4], [4, 3, 2, 1], [2, 5, 1, 3, 4]], ids=str
)
def test_invariant_23_every_row_sees_each_position_once(order):
    seen, width = packed_mask(torch.tensor([order]))[0], len(order)
    assert (seen[:, :width] ^ seen[:, width:]).all()


def test_invariant_23_from_the_left_a_mask_copy_sees_earlier_tokens_and_later_masks():
    copies = packed_mask(torch.tensor([[1, 2, 3, 4]]))[0, 4:]
    assert torch.equal(copies[:, :4], torch.ones(4, 4).tril(-1).bool())
    assert torch.equal(copies[:, 4:], torch.ones(4, 4).triu().bool())


def shallow(model, layers):
    model.denoiser.network.model.layers = model.denoiser.network.model.layers[:layers]
    return model


def checked_and_true(model, prompt, block, times):
    """Logits at the mask copies of one packed row, and those of the true partial states before each
    reveal.
    """
    width = len(block)
    canvas = Canvas(model.denoiser, [prompt], width, width, "cpu")
    tokens, masked = canvas.window()
    times = torch.where(masked, torch.tensor([times]), 0)
    drafted = torch.where(masked, torch.tensor([block]), tokens)
    batch = replace(fake_batch([prompt], width, width), denoiser=model.denoiser, canvas=canvas)
    row = PackedRow(FullForward(model.denoiser, canvas), batch)
    row.revealed = Revealed(drafted, times, masked)
    none = torch.zeros(1, 1, dtype=torch.bool)
    packed = row.forward(
        ForwardRequest(tokens[:, None], masked[:, None], none, canvas.start)
    ).logits
    true = []
    for offset in masked[0].nonzero()[:, 0].tolist():
        state = torch.where(masked & (times >= times[:, offset : offset + 1]), M, drafted)
        wanted = torch.zeros(1, 1, width, dtype=torch.bool)
        wanted[0, 0, offset] = True
        true.append(
            FullForward(model.denoiser, canvas)
            .forward(ForwardRequest(state[:, None], wanted, none, canvas.start))
            .logits
        )
    return packed, torch.cat(true)


@pytest.mark.parametrize(
    "prompt", [[5, 6, 7, 8], [5, 6, 7, 8, 9]], ids=["whole-block", "known-remainder"]
)
def test_invariant_23_with_one_layer_the_mask_copies_see_the_true_partial_states(prompt):
    packed, true = checked_and_true(
        shallow(tiny_model(0, block_length=4), 1), prompt, [10, 11, 12, 13], [1, 3, 2, 4]
    )
    torch.testing.assert_close(packed, true, atol=1e-4, rtol=1e-4)


def test_invariant_23_with_two_layers_the_token_under_test_leaks():
    """Another drafted token at position 2 changes the prediction *for* position 2, which no partial
    state contains.
    """
    model = tiny_model(0, block_length=4)
    packed, true = checked_and_true(model, [5, 6, 7, 8], [10, 11, 12, 13], [1, 3, 2, 4])
    other, same = checked_and_true(model, [5, 6, 7, 8], [10, 11, 20, 13], [1, 3, 2, 4])
    assert torch.equal(true[2], same[2])
    assert (packed[2] - other[2]).abs().max() > 1e-2
    assert (packed[:3] - true[:3]).abs().max() > 1e-2
    shallow_packed, _ = checked_and_true(
        shallow(tiny_model(0, block_length=4), 1), [5, 6, 7, 8], [10, 11, 12, 13], [1, 3, 2, 4]
    )
    shallow_other, _ = checked_and_true(
        shallow(tiny_model(0, block_length=4), 1), [5, 6, 7, 8], [10, 11, 20, 13], [1, 3, 2, 4]
    )
    torch.testing.assert_close(shallow_packed[2], shallow_other[2])


def simsd(draft):
    """One round of SimSD, one forward per question; exact for a target of one layer, where nothing
    leaks.
    """
    pending = {}

    def round_of(scores_at, state):
        first = masks(state)[0]
        token = pending.pop("token", None) if pending.get("at") == first else None
        state = filled(
            state, {first: int(scores_at(state).token[first]) if token is None else token}
        )
        drafted, seen, order = list(state), {}, []
        while masks(drafted):
            scores = scores_at(drafted, draft)
            at = max(masks(drafted), key=lambda i: (scores.confidence[i], -i))
            seen[at], order = list(drafted), [*order, at]
            drafted[at] = int(scores.token[at])
        for at in sorted(order):
            token = int(scores_at(seen[at]).token[at])
            if token != drafted[at]:
                pending.update(token=token, at=at)
                break
            state = filled(state, {at: token})
            if 0 in state and M not in state[: state.index(0)]:
                break
        return state

    return round_of


GREEDY_MATCH = TokenChain()


def settings(draft, acceptor=GREEDY_MATCH, **options):
    made = DecodeConfig.make("psd", policy="left_to_right", k=1, gen_length=29, **options)
    return replace(made, drafter=Packed(draft=draft), acceptor=acceptor)


@pytest.mark.parametrize("bonus", [0.0, 5.0])
def test_greedy_match_is_simsd_one_question_at_a_time(bonus):
    target, draft = make_model(0, False, bonus), make_model(4, False, bonus)
    shallow(target, 1)
    prompts = make_prompts(71, 4)
    accepted = 0
    for prompt, sequence in zip(prompts, run(target, prompts, settings(draft)), strict=True):
        assert sequence.tokens == [
            token
            for token in decode_one_by_one(target, prompt, 8, simsd(draft))
            if token != target.eos_id
        ]
        accepted += sum(entry["accepted"] for entry in sequence.trace.iterations)
    assert accepted > 0


def test_it_is_never_called_exact_and_its_draft_calls_are_counted_apart():
    made = settings("mini-sdar-draft")
    assert not made.exact and not replace(made, acceptor=DecodeConfig.make("psd").acceptor).exact
    assert made.to_dict()["builder"] == {"name": "packed", "depth": 31, "draft": "mini-sdar-draft"}
    assert any("leaks a token under test into its own check" in note for note in made.notes)
    out = run(make_model(0), make_prompts(72, 2), settings(make_model(0)))
    assert out.ledger.second_nfe > out.ledger.nfe > 0


def test_judge_gives_the_targets_distribution():
    draws = 20000
    p = torch.tensor([0.7, 0.2, 0.1]).expand(1, draws, 3)
    q = torch.tensor([0.2, 0.5, 0.3]).expand(1, draws, 3)
    at = torch.arange(draws)[None]
    token = (p.log() + position_gumbel(torch.tensor([[1]]), at, 3)).argmax(-1)
    uniform = (-(-position_gumbel(torch.tensor([[2]]), at, 1)[..., 0]).exp()).exp()
    stands, correction = judge(token, p, q, uniform, position_gumbel(torch.tensor([[3]]), at, 3))
    outcome = torch.where(stands, token, correction)
    share = torch.bincount(outcome[0], minlength=3) / draws
    torch.testing.assert_close(share, torch.tensor([0.2, 0.5, 0.3]), atol=0.015, rtol=0)
    assert 0.45 < stands.float().mean() < 0.55  # sum of min(p, q) = 0.2 + 0.2 + 0.1


def test_rejection_sampling_runs_and_repeats():
    target, draft, prompts = (
        make_model(0, False, 3.0),
        make_model(4, False, 3.0),
        make_prompts(73, 4),
    )
    made = settings(draft, Rejection(), temperature=0.8, seed=3)
    first, second = run(target, prompts, made), run(target, prompts, made)
    assert [s.tokens for s in first] == [s.tokens for s in second]
    assert all(M not in s.tokens for s in first)
    itself = run(target, prompts, settings(target, Rejection(), temperature=0.8, seed=3))
    assert sum(s.nfe for s in itself) < sum(
        s.nfe for s in first
    )  # the target's own guesses are refused less often


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match="needs a block-causal target without shift"):
        run(make_model(0, True), [[5]], settings(make_model(0, True)))
    with pytest.raises(
        UserError, match="acceptor 'rejection' needs drafter 'packed' and temperature > 0"
    ):
        settings(make_model(0), Rejection())
    with pytest.raises(UserError, match="acceptor 'rejection' needs drafter 'packed'"):
        replace(config("top_k", temperature=0.5), acceptor=Rejection())
