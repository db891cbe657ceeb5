"""The public surface: `psd_lib.generate`, its presets and what it refuses."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import pytest
from support.configs import second_models

import psd_lib
from psd_lib import DECODERS, DecodeConfig, Policy
from psd_lib.core.strategy import Needs
from psd_lib.errors import UserError
from psd_lib.testing import tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model(0)


def test_results_read_as_documented(model):
    out = psd_lib.generate(
        model,
        ["w3 w4 w5", "w9"],
        decoder="psd",
        policy="confidence",
        threshold=0.9,
        depth=3,
        block_length=8,
        gen_length=16,
    )
    assert len(out) == 2 and out.text == [sequence.text for sequence in out]
    assert out[0].prompt_text == "w3 w4 w5"
    assert out.tpf == sum(s.n_tokens for s in out) / sum(s.nfe for s in out)
    assert out.trace[0].tokens.shape == (16,) and len(out.trace[0].text_tokens) == 16
    assert out.ledger.nfe == len(out.ledger.forwards)


def test_one_prompt_and_token_ids_are_accepted(model):
    assert (
        psd_lib.generate(model, "w3 w4", gen_length=8).text
        == psd_lib.generate(model, [[3, 4]], gen_length=8).text
    )


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_preset_runs(model, decoder):
    out = psd_lib.generate(model, ["w3 w4 w5"], decoder, gen_length=16, **second_models(decoder))
    assert out[0].nfe <= 16 and out.config.decoder == decoder


def test_labels_and_dicts():
    assert DecodeConfig.make("greedy").label == "greedy"
    assert DecodeConfig.make("spiffy", depth=5).label == "spiffy(d=5)"
    assert DecodeConfig.make("psd", policy="local_leap").label == "psd(LocalLeap 0.9/0.75/4, d=3)"
    assert (
        DecodeConfig.make("psd", acceptor="token_chain").label
        == "psd(confidence 0.9, d=3, token_chain)"
    )
    assert DecodeConfig.make("psd", temperature=0.7).label == "psd(confidence 0.9, d=3, T=0.7)"
    assert DecodeConfig.make("greedy", temperature=1).label == "greedy(T=1)"
    assert DecodeConfig.make("confidence", temperature=0.7).label == "confidence 0.9, T=0.7"
    described = DecodeConfig.make("psd", threshold=0.8).to_dict()
    assert described["policy"] == {"name": "confidence", "threshold": 0.8}
    assert described["builder"] == {"name": "chain", "depth": 3, "tokens_per_level": 1}


def test_exactness_is_claimed_only_where_it_is_proved():
    claims = {
        ("psd", "replay"): True,
        ("psd", "subset"): False,
        ("psd", "token_chain"): False,
        ("psd", "token_root"): False,
        ("spiffy", "replay"): True,
        ("spiffy", "subset"): True,
        ("spiffy", "token_chain"): False,
    }
    for (decoder, acceptor), exact in claims.items():
        assert DecodeConfig.make(decoder, acceptor=acceptor).exact is exact
    assert DecodeConfig.make("psd", acceptor="token_chain", depth=0).exact


def test_a_policy_object_of_the_users_own_runs(model):
    from psd_lib import Policy

    @dataclass(frozen=True)
    class EverySecond(Policy):
        name = "every_second"
        label = "every second"

        def select(self, scores, masked):
            return masked & (masked.cumsum(-1) % 2 == 1)

    out = psd_lib.generate(model, ["w3 w4 w5"], policy=EverySecond(), gen_length=16)
    assert out.config.to_dict()["policy"] == {"name": "every_second"}


def test_a_policy_that_commits_nothing_is_named_instead_of_looping_forever(model):
    class Idle(type(DecodeConfig.make("greedy").policy)):
        name = "idle"

        def select(self, scores, masked):
            return masked & False

    with pytest.raises(
        UserError, match="policy 'idle' selected nothing where positions were masked"
    ):
        psd_lib.generate(model, ["w3"], policy=Idle(), gen_length=8)


def test_a_policy_of_margins_gets_them(model):
    @dataclass(frozen=True)
    class ByMargin(Policy):
        name: ClassVar[str] = "by_margin"

        @property
        def needs(self):
            return Needs(detail=True)

        def select(self, scores, masked):
            return masked & (
                scores.margin >= scores.margin.masked_fill(~masked, -1).amax(-1, keepdim=True)
            )

        def priority(self, scores):
            return scores.margin

    out = psd_lib.generate(model, ["w3 w4"], policy=ByMargin(), gen_length=16)
    bare = psd_lib.generate(model, ["w3 w4"], policy=ByMargin(), depth=0, gen_length=16)
    assert out[0].tokens == bare[0].tokens and out[0].nfe <= bare[0].nfe


REFUSED = [
    ({"decoder": "beam"}, "unknown decoder 'beam'; choose one of: .*greedy"),
    (
        {"policy": "best"},
        "unknown policy 'best'; choose one of: top_k, confidence, .*local_leap",
    ),
    ({"acceptor": "all"}, "unknown acceptor 'all'; choose one of: replay"),
    ({"cache": "dual"}, "unknown cache 'dual'; choose one of: none, exact_block"),
    ({"policy": 3}, "policy must be one of"),
    ({"threshold": 1.2}, "threshold must be a number between 0 and 1, got 1.2"),
    ({"depth": -1}, "depth must be a whole number of at least 0, got -1"),
    ({"depth": 1.5}, "depth must be a whole number"),
    ({"block_length": 0}, "block_length must be a whole number of at least 1"),
    ({"gen_length": 0}, "gen_length must be a whole number of at least 1"),
    ({"temperature": -1}, "temperature must be a number of at least 0"),
    ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
    ({"treshold": 0.9}, "no option 'treshold' .did you mean 'threshold'.*; it accepts: threshold"),
    ({"decoder": "greedy", "depth": 3}, "decoder 'greedy' has no option 'depth'"),
    ({"decoder": "spiffy", "k": 4}, "decoder 'spiffy' has no option 'k'"),
    ({"config": DecodeConfig.make("greedy"), "depth": 3}, "either a config or options"),
    ({"config": DecodeConfig.make("greedy"), "decoder": "psd"}, "leave one of them out"),
    ({"config": {"decoder": "greedy"}}, "config must come from DecodeConfig.make"),
    ({"block_length": 300}, "block_length 300 exceeds the model's 256 positions"),
    ({"index": [1, 2]}, "index must have one number per prompt, got 2 for 1 prompts"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_impossible_options_are_refused(model, options, words):
    with pytest.raises(UserError, match=words):
        psd_lib.generate(model, ["w3"], **options)


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ([], "no prompts"),
        ([""], "prompt 0 is empty"),
        (["w3", []], "prompt 1 is empty"),
        (["w3 <|MASK|> w4"], r"prompt 0 contains the mask token <\|MASK\|>"),
        ([[3, 31]], r"prompt 0 has token ids outside 0\.\.29"),
        (
            [[3] * 200],
            "prompt 0 has 200 tokens, which with gen_length 128 exceeds the model's 256 positions",
        ),
    ],
)
def test_impossible_prompts_are_refused(model, prompts, words):
    with pytest.raises(UserError, match=words):
        psd_lib.generate(model, prompts)


def test_a_block_length_that_does_not_divide_gen_length_is_said():
    bidirectional = tiny_model(0, sees_future=True)
    with pytest.warns(
        UserWarning, match="block_length 8 does not divide gen_length 12: the last block is shorter"
    ):
        out = psd_lib.generate(bidirectional, ["w3"], gen_length=12)
    assert len(out[0].trace.tokens) == 12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        psd_lib.generate(bidirectional, ["w3"], gen_length=16)


@pytest.mark.parametrize("name", ["mini-sdar", None])
def test_what_is_no_loaded_model_is_refused(name):
    with pytest.raises(UserError, match=r"model must be a loaded model, such as psd_lib\.load"):
        psd_lib.generate(name, "w3")
