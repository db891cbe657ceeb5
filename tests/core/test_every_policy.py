"""What every registered policy and every preset promises in the loop; a new one is tested here
without being named.

Exactness under replay and budget on tiny random float32 models, block-causal and bidirectional, at
temperature 0 and with fixed noise; models that want the mask token or end inside blocks; the bounds
of tokens per forward.
"""

from dataclasses import replace

import numpy as np
import pytest
from support.configs import GEN, PURE_POLICIES, config, run, second_models
from support.models import EagerEos, make_model, make_prompts
from support.reference import reference_states, traced_states

import psd_lib
from psd_lib import DECODERS, DecodeConfig

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")
MODELS = [
    pytest.param((20, False, 4.0), id="block-causal"),
    pytest.param((21, True, 4.0), id="bidirectional"),
]


@pytest.fixture(params=MODELS)
def model(request):
    return make_model(*request.param)


@pytest.mark.parametrize("policy", PURE_POLICIES)
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_invariant_1_2_9_and_10_every_policy_is_replayed_exactly(model, policy, temperature):
    prompts = make_prompts(40, 4)
    bare, drafted = (
        run(model, prompts, config(policy, depth=depth, temperature=temperature, seed=3))
        for depth in (0, 3)
    )
    for index, (prompt, one, other) in enumerate(zip(prompts, bare, drafted, strict=True)):
        states = reference_states(
            model, prompt, config(policy, temperature=temperature, seed=3), index
        )
        assert traced_states(model, prompt, one) == traced_states(model, prompt, other) == states
        assert one.nfe == one.rows == len(states) >= other.nfe
        np.testing.assert_allclose(
            one.trace.confidence, other.trace.confidence, atol=1e-4
        )  # sums depend on the shape of the call


@pytest.mark.parametrize("policy", PURE_POLICIES)
def test_invariant_13_no_call_gives_more_than_a_policy_step_and_the_drafts(model, policy):
    depth, prompts = 3, make_prompts(41, 4)
    bare = run(model, prompts, config(policy, depth=0))
    largest = max(entry["committed"] for sequence in bare for entry in sequence.trace.iterations)
    for one, other in zip(bare, run(model, prompts, config(policy, depth=depth)), strict=True):
        assert len(other.tokens) <= other.nfe * (largest + depth)
        # a call beyond the first takes one policy step and at most `depth` accepted ones
        assert other.nfe >= len(one.trace.iterations) / (depth + 1)


@pytest.mark.parametrize("policy", ["top_k", "confidence", "local_leap"])
def test_invariant_14_deeper_chains_do_not_need_more_calls_on_average(model, policy):
    prompts = make_prompts(42, 24)
    options = {"k": 1} if policy == "top_k" else {}
    calls = [
        sum(
            sequence.nfe for sequence in run(model, prompts, config(policy, depth=depth, **options))
        )
        for depth in (0, 1, 3, 7)
    ]
    assert calls[0] > calls[1] and calls == sorted(calls, reverse=True)


@pytest.mark.parametrize("depth", [0, 3])
def test_invariant_20_storing_costs_no_call_in_either_arm(depth):
    model, prompts = make_model(22), make_prompts(43, 4)
    plain, stored = (
        run(model, prompts, config("confidence", depth=depth, cache=cache))
        for cache in ("none", "exact_block")
    )
    for one, other in zip(plain, stored, strict=True):
        assert (one.tokens, one.nfe) == (other.tokens, other.nfe)
        if depth == 0:
            assert other.nfe == len(
                other.trace.iterations
            )  # no call beside those of the policy's own steps


class WantsTheMask(EagerEos):
    """A denoiser whose best guess is always the mask token."""

    def logits(self, *request):
        logits = super().logits(*request)
        logits[:, self.denoiser.mask_id] += 1e4
        return logits


@pytest.mark.parametrize("decoder", DECODERS)
def test_no_decoder_proposes_the_mask_token_or_runs_on_behind_the_end(decoder):
    model = make_model(23, eos_bonus=6.0)
    model = replace(model, denoiser=WantsTheMask(model.denoiser.denoiser, 6.0))
    out = psd_lib.generate(
        model, make_prompts(44, 3), decoder, gen_length=GEN, **second_models(decoder)
    )
    for sequence in out:
        generated = sequence.trace.tokens.tolist()
        assert model.mask_id not in generated and -1 not in sequence.tokens
        assert sequence.nfe <= GEN
        assert sequence.stopped == "eos" and generated.index(model.eos_id) == len(sequence.tokens)


# Decoders whose paper leaves a rule open that we had to fill in; of all others every rule is
# published.
RECONSTRUCTED = {"psd", "ete", "fdm", "fdm_a", "lopa", "prophet", "sched", "spiffy"}


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_describes_itself_in_plain_data_and_says_what_it_is(decoder):
    config = DecodeConfig.make(decoder, **second_models(decoder))
    described = config.to_dict()
    assert described["decoder"] == decoder and plain(described)
    assert config.label and config.reconstructed == (decoder in RECONSTRUCTED)
    assert config.reconstructed <= any("reconstructed" in note for note in config.notes)


def plain(value) -> bool:
    """Whether a value is nothing but numbers, texts, lists and dicts."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(entry) for key, entry in value.items())
    if isinstance(value, list | tuple):
        return all(map(plain, value))
    return value is None or isinstance(value, str | int | float | bool)
