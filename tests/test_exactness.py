"""Replay on the embedded model: every policy and depth gives the policy's own output, token for token, in no more calls.

The fast test takes a few prompts of each task; the slow one (`pytest -m slow tests/test_exactness.py`) takes 210.
"""

import pytest

import psd_lib
from psd_lib import tasks
from psd_lib.decoding import DecodeConfig
from psd_lib.paths import MODELS

POLICIES = ("top_k", "confidence", "local_leap", "left_to_right")
DEPTHS = (1, 3, 5, 7)


@pytest.fixture(scope="module")
def model():
    assert (MODELS / "mini-sdar" / "config.json").is_file(), "the embedded model belongs to the repository"
    return psd_lib.load("mini-sdar", dtype="float32")


def options(policy: str) -> dict:
    return {"policy": policy, **({"k": 1} if policy in ("top_k", "left_to_right") else {})}


def check(model, per_task: int, policy: str, depths: tuple[int, ...], cache: str) -> int:
    """Compare every depth with the bare policy on validation items; return how many outputs were compared."""
    compared = 0
    for name in tasks.embedded():
        task = tasks.get(name)
        prompts = [example.prompt for example in task.load("validation", per_task)]
        base = DecodeConfig.make("psd", **options(policy), depth=0, gen_length=task.gen_length, cache=cache)
        bare = psd_lib.generate(model, prompts, config=base)
        for depth in depths:
            drafted = DecodeConfig.make("psd", **options(policy), depth=depth, gen_length=task.gen_length, cache=cache)
            for one, other in zip(bare, psd_lib.generate(model, prompts, config=drafted)):
                assert other.tokens == one.tokens
                assert (other.trace.step == one.trace.step).all()
                assert other.nfe <= one.nfe
                compared += 1
    return compared


@pytest.mark.parametrize("policy", POLICIES)
def test_replay_is_exact_on_a_few_prompts(model, policy):
    assert check(model, 3, policy, (3,), "exact_block") == 9


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("cache", ["exact_block", "none"])
def test_replay_is_exact_on_210_prompts(model, policy, cache):
    assert check(model, 70, policy, DEPTHS, cache) == 210 * len(DEPTHS)


def test_the_exact_cache_decides_what_no_cache_decides(model):
    prompts = [example.prompt for name in tasks.embedded() for example in tasks.get(name).load("validation", 2)]
    plain, cached = (psd_lib.generate(model, prompts, depth=3, gen_length=96, cache=cache) for cache in ("none", "exact_block"))
    assert [s.tokens for s in plain] == [s.tokens for s in cached]
    assert [s.nfe for s in plain] == [s.nfe for s in cached]
