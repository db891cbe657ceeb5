"""KLASS and Credit: their memory on literal distributions, block changes, and why drafts are
refused.
"""

import pytest
import torch
from support.configs import GEN, run
from support.models import make_model, make_prompts

import psd_lib
from psd_lib import DecodeConfig
from psd_lib.core.scores import Scores, score
from psd_lib.core.states import Where
from psd_lib.errors import UserError
from psd_lib.methods.credit import Credit, RunningCredit
from psd_lib.methods.klass import Klass, RunningKlass
from psd_lib.testing import fake_batch

FIRST = torch.tensor([0, 1])


def where(sequence, offset, next_block):
    """Rows of a call's logits, all of node 0."""
    return Where(sequence, torch.zeros_like(sequence), offset, next_block)


def observe(history, probabilities, fresh=False):
    """One step over sequence 0's positions 0 and 1; returns the scores of what comes back."""
    logits, none = torch.tensor(probabilities).log(), torch.zeros(2, dtype=torch.long)
    at = where(none, FIRST, torch.tensor([fresh, fresh]))
    return score(history.process_logits(logits, at))


def chosen(history, confidence, masked=(1, 1)):
    confidence = torch.tensor([confidence])
    return (
        history.select(Scores(confidence.long(), confidence), torch.tensor([masked]).bool())[0]
        .int()
        .tolist()
    )


STEADY, MOVED = [0.7, 0.2, 0.1], [0.2, 0.7, 0.1]


def test_klass_needs_as_many_earlier_steps_as_it_compares():
    history = RunningKlass(Klass(steps=2), fake_batch([[4]], 2, 2))
    for expected in ([1, 0], [1, 0], [1, 1]):  # none ready, one comparison, two comparisons
        observe(history, [STEADY, STEADY])
        assert chosen(history, [0.7, 0.65]) == expected


def test_klass_takes_steady_and_confident_positions_only():
    history = RunningKlass(Klass(steps=1), fake_batch([[4]], 2, 2))
    observe(history, [STEADY, STEADY])
    observe(history, [STEADY, MOVED])
    assert chosen(history, [0.7, 0.9]) == [1, 0]  # the second is surer, but it moved
    assert chosen(history, [0.6, 0.9]) == [
        0,
        1,
    ]  # 0.6 is not above 0.6: none is ready, so the best one
    assert chosen(history, [0.7, 0.9], masked=(0, 1)) == [0, 1]
    assert chosen(history, [0.7, 0.9], masked=(0, 0)) == [0, 0]


def test_klass_divergence_is_now_against_before_in_nats():
    history = RunningKlass(Klass(steps=1), fake_batch([[4]], 2, 2))
    observe(history, [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]])
    observe(history, [[0.9, 0.1, 0.0], [0.5, 0.5, 0.0]])
    expected = 0.9 * torch.tensor(0.9 / 0.5).log() + 0.1 * torch.tensor(0.1 / 0.5).log()
    torch.testing.assert_close(history.divergences[0, :, 0], torch.tensor([expected.item(), 0.0]))


def test_klass_forgets_at_a_new_block():
    history = RunningKlass(Klass(steps=1), fake_batch([[4]], 2, 2))
    observe(history, [STEADY, STEADY])
    observe(history, [STEADY, STEADY], fresh=True)
    assert chosen(history, [0.7, 0.9]) == [0, 1]
    observe(history, [STEADY, STEADY])
    assert chosen(history, [0.7, 0.9]) == [1, 1]


def test_credit_accumulates_decays_and_raises_what_keeps_winning():
    history = RunningCredit(Credit(), fake_batch([[4]], 2, 2))
    observe(history, [[0.5, 0.3, 0.2], STEADY])
    torch.testing.assert_close(history.credits[0, 0], torch.tensor([0.5**0.2, 0.0, 0.0]))
    raised = observe(history, [[0.5, 0.3, 0.2], STEADY])
    torch.testing.assert_close(
        history.credits[0, 0], torch.tensor([0.8 * 0.5**0.2 + 0.5**0.2, 0.0, 0.0])
    )
    assert raised.confidence[0] > 0.6
    turned = observe(
        history, [[0.49, 0.51, 0.0], MOVED]
    )  # the newcomer wins by less than the credit
    assert turned.token.tolist() == [0, 1] and turned.confidence[0] < 0.6


def test_credit_gives_ties_to_the_lowest_token_and_forgets_at_a_new_block():
    history = RunningCredit(Credit(), fake_batch([[4]], 2, 2))
    observe(history, [[0.4, 0.4, 0.2], STEADY])
    assert history.credits[0, 0].tolist()[1:] == [0.0, 0.0]
    observe(history, [MOVED, MOVED], fresh=True)
    torch.testing.assert_close(history.credits[0, 0], torch.tensor([0.0, 0.7**0.2, 0.0]))


def test_a_banned_token_never_earns_credit():
    history = RunningCredit(Credit(), fake_batch([[4]], 2, 2))
    logits = torch.tensor([[float("-inf"), 1.0], [float("-inf"), 2.0]])
    raised = history.process_logits(logits, where(FIRST * 0, FIRST, FIRST > 5))
    assert torch.isneginf(raised[:, 0]).all() and torch.isfinite(raised[:, 1]).all()


@pytest.mark.filterwarnings("ignore:block_length 8 does not divide")
@pytest.mark.parametrize("decoder", ["klass", "credit"])
@pytest.mark.parametrize("future", [False, True], ids=["block-causal", "bidirectional"])
def test_a_history_belongs_to_its_sequence_whatever_the_batch(decoder, future):
    model, prompts = make_model(5, future, 3.0), make_prompts(33, 5)
    settings = DecodeConfig.make(decoder, threshold=0.5, gen_length=GEN, temperature=0.5)
    together = run(model, prompts, settings)
    assert (
        together.text == run(model, prompts, settings).text
    )  # nothing is left over from the run before
    [alone] = psd_lib.generate(model, prompts[:1], config=settings)
    assert (alone.tokens, alone.nfe) == (together[0].tokens, together[0].nfe)


def test_without_influence_both_are_the_policies_they_extend():
    model, prompts = make_model(0), make_prompts(34, 3)
    credit, plain = (
        run(model, prompts, DecodeConfig.make(name, gen_length=GEN, **options))
        for name, options in (("credit", {"weight": 0.0}), ("confidence", {}))
    )
    klass, greedy = (
        run(model, prompts, DecodeConfig.make(name, gen_length=GEN, **options))
        for name, options in (("klass", {"divergence": 0.0}), ("greedy", {}))
    )
    for one, other in [*zip(credit, plain, strict=True), *zip(klass, greedy, strict=False)]:
        assert (one.tokens, one.nfe) == (other.tokens, other.nfe)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("klass", "'klass' cannot be combined with drafts: it compares each step's distributions"),
        ("credit", "'credit' cannot be combined with drafts: its credits grow with every step"),
        ("wino", "'wino' cannot be combined with drafts: it takes commits back"),
        ("apd", "'apd' cannot be combined with drafts: its judge reads one state"),
    ],
)
def test_drafts_are_refused_with_the_reason_and_what_would_work(policy, words):
    with pytest.raises(UserError, match=words + ".*use it alone"):
        DecodeConfig.make("psd", policy=policy, depth=3)
    assert DecodeConfig.make("psd", policy=policy, depth=0).exact
