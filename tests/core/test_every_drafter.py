"""Every draft drafter of the registry under replay: the policy's own trajectory state by state, in
no more calls.

A drafter is tested by being listed in `DRAFTERS`; one that cannot be made without arguments gets
them in `support.drafters`.
"""

from dataclasses import replace

import pytest
from support.configs import config, run
from support.drafters import EXACT_DRAFTERS, make_drafter
from support.models import make_model, make_prompts
from support.reference import reference_states, traced_states

from psd_lib import DRAFTERS
from psd_lib.core.accept import Replay

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")
MODELS = {"block-causal": (1, False, 6.0), "bidirectional": (3, True, 6.0)}


@pytest.fixture(params=MODELS)
def model(request):
    return make_model(*MODELS[request.param])


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("policy", ["top_k", "confidence"])
@pytest.mark.parametrize("name", EXACT_DRAFTERS)
def test_invariant_1_9_and_10_every_drafter_keeps_the_reference_trajectory(
    model, name, policy, temperature
):
    prompts, settings = make_prompts(31, 4), config(policy, temperature=temperature, seed=5)
    settings = replace(settings, drafter=make_drafter(name), acceptor=Replay())
    assert settings.exact
    for index, (prompt, sequence) in enumerate(
        zip(prompts, run(model, prompts, settings), strict=True)
    ):
        states = reference_states(model, prompt, settings, index)
        assert traced_states(model, prompt, sequence) == states
        assert sequence.nfe <= len(states)


@pytest.mark.parametrize("name", [name for name in EXACT_DRAFTERS if name != "none"])
def test_invariant_10_and_12_every_drafter_keeps_to_its_budget(model, name):
    prompts, settings = make_prompts(32, 4), config("top_k")
    drafter = make_drafter(name)
    bare = run(model, prompts, settings.bare)
    drafted = run(model, prompts, replace(settings, drafter=drafter))
    assert all(
        one.nfe >= other.nfe and one.tokens == other.tokens
        for one, other in zip(bare, drafted, strict=True)
    )
    assert sum(entry["drafted"] for sequence in drafted for entry in sequence.trace.iterations) > 0
    assert all(
        entry["rows"] <= drafter.depth + 1
        for sequence in drafted
        for entry in sequence.trace.iterations
    )
    assert all(
        entry["drafted"] <= drafter.depth
        for sequence in drafted
        for entry in sequence.trace.iterations
    )


def test_only_a_drafter_that_calls_the_model_its_own_way_is_not_exact():
    approximate = [name for name in DRAFTERS if name not in EXACT_DRAFTERS]
    assert approximate == ["packed"]
    assert not replace(config("top_k"), drafter=DRAFTERS["packed"]()).exact


def test_orders_that_swap_are_what_a_chain_under_replay_misses():
    """The point of the order-swap graph: at the same number of rows it needs fewer calls, summed
    over prompts.
    """
    calls = {}
    for name in ("chain", "order_swap"):
        drafter = DRAFTERS[name](depth=7)
        found = [
            run(make_model(*spec), make_prompts(33, 8), replace(config("top_k"), drafter=drafter))
            for spec in MODELS.values()
        ]
        calls[name] = sum(sequence.nfe for out in found for sequence in out)
    assert calls["order_swap"] < calls["chain"]
