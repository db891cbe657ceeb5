"""Replay on the embedded models: every policy, drafter and depth gives the policy's own output,
token for token.

In double precision, where the shape of a call cannot turn a near tie: what is tested is the
decoder, not the rounding. The fast tests take one prompt of each task and two blocks. `pytest -m
slow tests/test_exactness.py -k mini-llada` takes 210 prompts through every policy and depth of one
model; without `-k` through all three. The slow tests decode the first 32 tokens, 64 where a block
has 32, which is half an hour to an hour a model on two cores; a GPU is used when there is one.
"""

from dataclasses import replace

import pytest
from support.drafters import SWAPS

import psd_lib
from psd_lab import tasks
from psd_lab.paths import MODELS
from psd_lib import DecodeConfig

NAMES = ("mini-dream", "mini-llada", "mini-sdar")
POLICIES = {"top_k": {"k": 1}, "confidence": {}, "local_leap": {}, "left_to_right": {"k": 1}}
DEPTHS = [{"depth": depth} for depth in (1, 3, 5, 7)]


@pytest.fixture(scope="module", params=NAMES)
def model(request):
    assert (MODELS / request.param / "config.json").is_file(), (
        "the embedded models belong to the repository"
    )
    return psd_lib.load(request.param, dtype="float64")


def slow(model) -> int:
    """How many tokens the slow tests decode: several blocks."""
    return max(32, 2 * model.block_length)


def drafters(model) -> list[dict]:
    """The drafters whose drafts are no chain."""
    swaps = replace(SWAPS, block_length=model.block_length)
    return [
        {"drafter": "order_swap", "depth": 7},
        {"drafter": "mix_order", "depth": 7},
        {"drafter": "calibrated", "graph": swaps, "depth": 5},
    ]


def check(
    model,
    per_task: int,
    policy: str,
    drafts: list[dict],
    temperature: float = 0.0,
    batch_size: int = 35,
    gen_length: int = 16,
) -> int:
    """Compare every choice of drafts with the bare policy on validation items; return how many
    outputs were compared.

    The bare policy runs without a cache; with drafts, finished blocks are stored where the model
    allows it.
    """
    compared = 0
    cache = "none" if model.family.sees_future else "exact_block"
    for name in tasks.embedded():
        task = tasks.get(name)
        prompts = [example.prompt for example in task.load("validation", per_task)]
        options = {
            "policy": policy,
            **POLICIES[policy],
            "gen_length": gen_length,
            "temperature": temperature,
            "seed": 1,
        }
        bare = psd_lib.generate(
            model,
            prompts,
            config=DecodeConfig.make("psd", depth=0, **options),
            batch_size=batch_size,
        )
        for chosen in drafts:
            drafted = DecodeConfig.make("psd", **chosen, **options, cache=cache)
            assert drafted.exact and drafted.bare == replace(bare.config.bare, cache=drafted.cache)
            for one, other in zip(
                bare,
                psd_lib.generate(model, prompts, config=drafted, batch_size=batch_size),
                strict=True,
            ):
                assert (other.tokens, other.stopped) == (one.tokens, one.stopped)
                assert other.trace.step.tolist() == one.trace.step.tolist()
                assert other.nfe <= one.nfe
                compared += 1
    return compared


@pytest.mark.parametrize("policy", POLICIES)
def test_replay_is_exact_on_a_few_prompts(model, policy):
    assert check(model, 1, policy, [{"depth": 3}]) == 3


def test_replay_is_exact_with_noise_and_with_drafts_that_are_no_chain(model):
    assert check(model, 1, "confidence", drafters(model)[:1], temperature=0.7) == 3


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_replay_is_exact_on_210_prompts(model, policy):
    assert check(model, 70, policy, DEPTHS, gen_length=slow(model)) == 210 * len(DEPTHS)


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_replay_is_exact_at_temperature_on_21_prompts(model, policy):
    assert check(model, 7, policy, DEPTHS, temperature=0.7, gen_length=slow(model)) == 21 * len(
        DEPTHS
    )


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_replay_is_exact_with_every_drafter_on_21_prompts(model, policy, temperature):
    assert check(
        model, 7, policy, drafters(model), temperature=temperature, gen_length=slow(model)
    ) == 21 * len(drafters(model))


def test_the_exact_cache_decides_what_no_cache_decides():
    model = psd_lib.load("mini-sdar", dtype="float32")
    prompts = [
        example.prompt
        for name in tasks.embedded()
        for example in tasks.get(name).load("validation", 2)
    ]
    plain, cached = (
        psd_lib.generate(model, prompts, depth=3, gen_length=48, cache=cache)
        for cache in ("none", "exact_block")
    )
    assert [s.tokens for s in plain] == [s.tokens for s in cached]
    assert [s.nfe for s in plain] == [s.nfe for s in cached]
