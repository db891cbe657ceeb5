"""Cache plans change what is computed, never what is decided."""

import pytest
import torch
from support.models import make_prompts

import psd_lib
from psd_lib import DecodeConfig
from psd_lib.errors import UserError
from psd_lib.methods.exact_block import PackedForward
from psd_lib.models import FAMILIES
from psd_lib.testing import tiny_model


@pytest.mark.parametrize("policy", ["top_k", "confidence", "local_leap", "left_to_right"])
@pytest.mark.parametrize("depth", [0, 3, 7])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_invariant_15_exact_block_decides_what_no_cache_decides(policy, depth, temperature):
    for seed in range(2):
        model, prompts = tiny_model(seed), make_prompts(seed, 8)
        options = {
            "policy": policy,
            "depth": depth,
            "gen_length": 37,
            "temperature": temperature,
            "batch_size": 5,
        }
        plain, cached = (
            psd_lib.generate(model, prompts, cache=cache, **options)
            for cache in ("none", "exact_block")
        )
        for one, other in zip(plain, cached, strict=True):
            assert (one.tokens, one.nfe, one.rows, one.stopped) == (
                other.tokens,
                other.nfe,
                other.rows,
                other.stopped,
            )
            assert (
                one.trace.step == other.trace.step
            ).all() and one.trace.iterations == other.trace.iterations
        assert cached.ledger.query_tokens < plain.ledger.query_tokens / 2


@pytest.mark.parametrize(
    "family", [name for name, family in FAMILIES.items() if not family.sees_future]
)
@pytest.mark.parametrize("depth", [0, 3])
def test_invariant_15_holds_for_every_family_that_exact_block_fits(family, depth):
    model, prompts = tiny_model(3, 1 if family == "qwen3" else 8, family=family), make_prompts(3, 8)
    options = {
        "policy": "confidence",
        "depth": depth,
        "gen_length": 29,
        "batch_size": 5,
        "threshold": 0.7,
    }
    plain, cached = (
        psd_lib.generate(model, prompts, cache=cache, **options)
        for cache in ("none", "exact_block")
    )
    for one, other in zip(plain, cached, strict=True):
        assert (one.tokens, one.nfe, one.rows, one.stopped) == (
            other.tokens,
            other.nfe,
            other.rows,
            other.stopped,
        )
        assert (one.trace.step == other.trace.step).all()
    assert cached.ledger.query_tokens < plain.ledger.query_tokens / 2


@pytest.mark.parametrize("cache", ["none", "exact_block"])
@pytest.mark.parametrize(
    "family", [name for name, family in FAMILIES.items() if not family.sees_future]
)
def test_what_an_answer_costs_does_not_depend_on_its_batch(family, cache):
    model, prompts = tiny_model(3, 1 if family == "qwen3" else 8, family=family), make_prompts(3, 8)
    options = {
        "policy": "confidence",
        "depth": 3,
        "gen_length": 24,
        "threshold": 0.7,
        "cache": cache,
    }
    together, alone = (
        psd_lib.generate(model, prompts, batch_size=size, **options) for size in (8, 1)
    )
    assert len({len(prompt) for prompt in prompts}) > 1
    assert [s.query_tokens for s in together] == [s.query_tokens for s in alone]


def test_exact_block_scores_equal_those_without_a_cache():
    model, prompts = tiny_model(1), make_prompts(5, 8)
    options = {"policy": "confidence", "depth": 3, "gen_length": 30, "record_scores": True}
    plain, cached = (
        psd_lib.generate(model, prompts, cache=cache, **options)
        for cache in ("none", "exact_block")
    )
    for one, other in zip(plain.trace, cached.trace, strict=True):
        for a, b in zip(one.scores, other.scores, strict=True):
            assert a["token"].tolist() == b["token"].tolist()
            torch.testing.assert_close(
                torch.tensor(a["confidence"]), torch.tensor(b["confidence"]), atol=1e-4, rtol=1e-3
            )


def test_invariant_17_the_store_changes_by_finished_blocks_only(monkeypatch):
    """Rejected drafts leave no mark: between calls only columns of blocks that were just finished
    may change.
    """
    changed = []
    keep = PackedForward._keep

    def spy(session, start):
        before = [tuple(part.clone() for part in layer) for layer in session.store]
        old = session.start
        keep(session, start)
        column = torch.arange(session.canvas.ids.shape[1])
        finished = (column >= old[:, None]) & (column < start[:, None])
        for layer, kept in zip(before, session.store, strict=True):
            for one, other in zip(layer, kept, strict=True):
                differs = (one != other).any(-1).any(1)
                assert not (differs & ~finished).any()
                changed.append(bool(differs.any()))

    monkeypatch.setattr(PackedForward, "_keep", spy)
    psd_lib.generate(tiny_model(2), make_prompts(6, 8), depth=7, gen_length=32, cache="exact_block")
    assert any(changed) and not all(changed)


def test_exact_block_is_refused_where_it_would_not_be_exact():
    with pytest.raises(
        UserError,
        match=r"'exact_block' does not fit this model: its attention is bidirectional.*use 'none'",
    ):
        psd_lib.generate(tiny_model(0, sees_future=True), [[3]], gen_length=8, cache="exact_block")


def test_the_cache_is_part_of_the_config():
    assert DecodeConfig.make("greedy", cache="exact_block").to_dict()["cache"] == {
        "name": "exact_block"
    }
