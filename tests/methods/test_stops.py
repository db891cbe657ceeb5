"""Stop rules on literal scores, in the loop, and what they make of exactness."""

import pytest
import torch
from support.configs import GEN, run
from support.models import make_model, make_prompts

from psd_lib import STOPS, DecodeConfig
from psd_lib.core.scores import Scores
from psd_lib.errors import UserError
from psd_lib.methods.prophet import Prophet
from psd_lib.methods.sched import Sched

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")


def fires(rule, gap, masked, progress):
    gap = torch.tensor(gap)
    scores = Scores(torch.zeros_like(gap, dtype=torch.long), gap, gap, gap, gap)
    return rule.stop(scores, torch.tensor(masked).bool(), torch.tensor(progress)).tolist()


def test_docstring_examples():
    assert fires(
        Prophet(), [[9.0, 8.0, 1.0, 7.0]] * 2, [[1, 1, 0, 1], [0, 0, 1, 1]], [0.1, 0.5]
    ) == [True, False]
    assert fires(Sched(), [[6.0, 6.0, 1.0, 6.0]] * 2, [[1, 1, 0, 1]] * 2, [0.2, 0.4]) == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("progress", "limit"),
    [(0.0, 7.5), (0.32, 7.5), (0.34, 5.0), (0.66, 5.0), (0.67, 2.5), (1.0, 2.5)],
)
def test_prophets_limits_belong_to_stages_and_include_their_value(progress, limit):
    assert fires(Prophet(), [[limit, limit]], [[1, 1]], [progress]) == [True]
    assert fires(Prophet(), [[limit, limit - 0.01]], [[1, 1]], [progress]) == [False]


@pytest.mark.parametrize("rule", [pytest.param(cls(), id=name) for name, cls in STOPS.items()])
def test_nothing_masked_never_stops_and_a_banned_second_token_always_does(rule):
    assert fires(rule, [[99.0, 99.0]], [[0, 0]], [0.5]) == [False]
    assert fires(rule, [[float("inf"), 9.0]], [[1, 1]], [0.5]) == [True]


@pytest.mark.parametrize("decoder", STOPS)
def test_a_rule_that_cannot_fire_is_the_policy_and_one_that_always_fires_fills_blocks_at_once(
    decoder,
):
    model, prompts = make_model(2, sees_future=True), make_prompts(31, 3)
    names = (
        ("early_gap", "middle_gap", "late_gap") if decoder == "prophet" else ("high_gap", "low_gap")
    )
    greedy, never, always = (
        run(model, prompts, DecodeConfig.make(name, gen_length=GEN, **options))
        for name, options in (
            ("greedy", {}),
            (decoder, dict.fromkeys(names, 1e9)),
            (decoder, dict.fromkeys(names, 0.0)),
        )
    )
    for one, other, filled in zip(greedy, never, always, strict=True):
        assert (one.tokens, one.nfe) == (other.tokens, other.nfe)
        assert filled.nfe == len({entry["block"] for entry in filled.trace.iterations}) < one.nfe


@pytest.mark.parametrize("future", [False, True], ids=["block-causal", "bidirectional"])
def test_drafts_replay_a_stop_rule_exactly(future):
    model, prompts = make_model(4, future), make_prompts(32, 4)
    stopped = []
    for temperature in (0.0, 0.7):
        options = {
            "policy": "confidence",
            "threshold": 0.8,
            "stop": "sched",
            "high_gap": 6.0,
            "low_gap": 1.0,
        }
        settings = {"gen_length": GEN, "temperature": temperature, **options}
        bare = run(model, prompts, DecodeConfig.make("psd", depth=0, **settings))
        for one, other in zip(
            bare, run(model, prompts, DecodeConfig.make("psd", depth=3, **settings)), strict=True
        ):
            assert (
                one.tokens == other.tokens
                and (one.trace.step == other.trace.step).all()
                and other.nfe <= one.nfe
            )
        plain = run(
            model,
            prompts,
            DecodeConfig.make("confidence", threshold=0.8, gen_length=GEN, temperature=temperature),
        )
        stopped += [one.nfe < other.nfe for one, other in zip(bare, plain, strict=True)]
    assert any(stopped)


def test_a_stop_rule_is_never_called_exact_and_is_named():
    config = DecodeConfig.make("psd", stop="prophet", depth=0)
    assert not config.exact and config.bare.stop is None and config.bare.exact
    assert config.label.endswith("Prophet (reconstructed) 7.5/5/2.5)") and config.reconstructed
    assert config.to_dict()["stop"] == {
        "name": "prophet",
        "early_gap": 7.5,
        "middle_gap": 5.0,
        "late_gap": 2.5,
    }
    assert (
        "stop" not in DecodeConfig.make("psd").to_dict()
    )  # hashes of configs without one stay what they were


def test_bad_limits_and_names_are_refused():
    with pytest.raises(UserError, match="late_gap must be a number of at least 0"):
        Prophet(late_gap=-1)
    with pytest.raises(UserError, match="unknown stop 'oracle'; choose one of: prophet, sched"):
        DecodeConfig.make("psd", stop="oracle")
    with pytest.raises(UserError, match="decoder 'greedy' has no option 'stop'"):
        DecodeConfig.make("greedy", stop="prophet")
    with pytest.raises(
        UserError,
        match=r"'wino' cannot be combined with a stop rule: it may take back what .*; use it alone",
    ):
        DecodeConfig.make("prophet", policy="wino")
