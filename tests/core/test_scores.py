"""Scores: dtype, banned ids, ties and temperature on literal tensors."""

import math

import torch

from psd_lib.core.scores import argmax_lowest, ban, order, position_gumbel, score

INF = float("inf")


def test_docstring_example():
    scores = score(torch.tensor([[2.0, 0, 0, -INF], [1.0, 1, 0, -INF]]), detail=True)
    assert scores.token.tolist() == [0, 0]
    torch.testing.assert_close(scores.confidence, torch.tensor([0.787, 0.4223]), atol=1e-3, rtol=0)
    torch.testing.assert_close(scores.margin, torch.tensor([0.6805, 0.0]), atol=1e-3, rtol=0)


def test_mask_token_and_unused_rows_are_never_chosen_and_carry_no_probability():
    logits = ban(torch.tensor([[9.0, 1.0, 1.0, 9.0]]), mask_id=0, vocab_size=3)
    scores = score(logits, detail=True)
    assert scores.token.tolist() == [1]
    torch.testing.assert_close(scores.confidence, torch.tensor([0.5]))
    torch.testing.assert_close(scores.entropy, torch.tensor([math.log(2)]))


def test_scores_are_float32_whatever_the_model_computes_in():
    logits = torch.tensor([[10.0, 2.0, 0.0, 0.0]], dtype=torch.bfloat16)
    scores = score(ban(logits, 3, 4), detail=True)
    assert {scores.confidence.dtype, scores.margin.dtype, scores.entropy.dtype} == {torch.float32}
    assert 0.999 < scores.confidence.item() < 1.0  # bf16 would round this to 1.0


def test_entropy_of_a_known_distribution():
    p = torch.tensor([[0.7, 0.2, 0.1]])
    entropy = score(p.log(), detail=True).entropy
    torch.testing.assert_close(entropy, -(p * p.log()).sum(-1))


def test_ties_go_to_the_lowest_index():
    assert argmax_lowest(torch.tensor([[1.0, 3.0, 3.0], [5.0, 5.0, 5.0]])).tolist() == [1, 0]


def test_order_ranks_masked_positions_first_and_ties_by_position():
    values = torch.tensor([[0.2, 0.9, 0.9, 0.5], [0.1, 0.4, 0.3, 0.8]])
    masked = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 1]]).bool()
    assert order(values, masked).tolist() == [[2, 0, 1, 3], [3, 1, 2, 0]]


def test_temperature_changes_the_token_but_not_the_meaning_of_confidence():
    logits = torch.tensor([[1.0, 0.0]])
    noise = torch.tensor([[0.0, 5.0]])
    scores = score(logits, noise, temperature=1.0)
    assert scores.token.tolist() == [1]
    torch.testing.assert_close(scores.confidence, logits.softmax(-1)[:, 1])


def test_noise_depends_on_seed_position_and_token_alone():
    seeds, positions = torch.tensor([[3], [3], [4]]), torch.tensor([[5, 6], [6, 5], [5, 6]])
    noise = position_gumbel(seeds, positions, 7)
    assert torch.equal(noise[0, 0], noise[1, 1]) and torch.equal(noise[0, 1], noise[1, 0])
    assert not torch.equal(noise[0], noise[2])


def test_noise_is_standard_gumbel():
    noise = position_gumbel(torch.tensor([[1]]), torch.arange(400)[None], 500)
    assert abs(noise.mean().item() - 0.5772) < 0.02
    assert abs(noise.std().item() - math.pi / math.sqrt(6)) < 0.02
