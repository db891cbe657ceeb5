"""The temporal decoders by name: which are one algorithm, what their options mean, how they call
themselves.
"""

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from support.configs import GEN, POLICY_OPTIONS, PURE_POLICIES
from support.drafters import EXACT_DRAFTERS, make_drafter
from support.models import make_model, make_prompts

import psd_lib
from psd_lib import ACCEPTORS, DECODERS, DRAFTERS, POLICIES, DecodeConfig
from psd_lib.core.parts import parts_of
from psd_lib.errors import UserError
from psd_lib.methods.branching import Branches
from psd_lib.methods.exact_block import ExactBlock
from psd_lib.methods.spiffy import Calibrated
from psd_lib.methods.spiffy.graph import CalibratedGraph, chain
from psd_lib.testing import tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")


def record(sequence) -> dict:
    """Everything that a decoded prompt records but the times and the label."""
    counted = {
        name: getattr(sequence, name)
        for name in ("tokens", "stopped", "nfe", "rows", "query_tokens", "tpf")
    }
    maps = {
        name: getattr(sequence.trace, name).tolist()
        for name in ("tokens", "step", "iteration", "depth", "confidence")
    }
    return {**counted, "map": maps, "iterations": sequence.trace.iterations}


@pytest.mark.parametrize("future", [False, True], ids=["block-causal", "bidirectional"])
@pytest.mark.parametrize("k", [1, 4, 8])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_invariant_3_and_9_freedave_ssd_spiffy_and_psd_are_one_algorithm(k, temperature, future):
    """FreeDave(K) = SSD(K - 1) = Spiffy(chain, K - 1) = PSD(greedy, K - 1), record for record and
    call for call.
    """
    model, prompts, options = (
        make_model(3, future, 4.0),
        make_prompts(81, 3),
        {"depth": k - 1, "gen_length": GEN, "temperature": temperature},
    )
    graph = CalibratedGraph(chain(k - 1), 8, "chain", "")
    configs = [
        DecodeConfig.make("freedave", **options),
        DecodeConfig.make("ssd", **options),
        DecodeConfig.make("spiffy", **options),
        DecodeConfig.make("spiffy", drafter="calibrated", graph=graph, **options),
        DecodeConfig.make("psd", policy="top_k", k=1, **options),
    ]
    first, *others = [psd_lib.generate(model, prompts, config=config) for config in configs]
    assert (
        k == 1
        or sum(entry["accepted"] for sequence in first for entry in sequence.trace.iterations) > 0
    )
    for other in others:
        assert [record(sequence) for sequence in other] == [record(sequence) for sequence in first]
        assert [(call.kind, call.sequences) for call in other.ledger.forwards] == [
            (call.kind, call.sequences) for call in first.ledger.forwards
        ]


def exact_choices() -> list:
    """Every choice of plugs that drafts, that some preset leaves open and that is called exact,
    each once.
    """
    found = {}
    for decoder, preset in DECODERS.items():
        policies = PURE_POLICIES if "policy" in preset.exchange else [preset.policy.name]
        drafters = DRAFTERS if "drafter" in preset.exchange else [preset.drafter.name]
        acceptors = (
            ACCEPTORS if "acceptor" in preset.exchange else [parts_of(preset)["acceptor"].name]
        )
        for policy, drafter, acceptor in (
            (p, b, a) for b in drafters for p in policies for a in acceptors
        ):
            # rival branches are poor drafts; two policies are enough for them, in test_drafters
            if drafter in EXACT_DRAFTERS and not issubclass(DRAFTERS[drafter], Branches):
                if acceptor == "rejection":  # refused without its own drafter
                    continue
                rule = POLICIES[policy](**POLICY_OPTIONS.get(policy, {}))
                config = DecodeConfig(
                    decoder,
                    rule,
                    make_drafter(drafter),
                    ACCEPTORS[acceptor](),
                    gen_length=21,
                    seed=4,
                )
                if config.drafts and config.exact and preset.stop is None:
                    found.setdefault(f"{policy}-{drafter}-{acceptor}", config)
    # each with and without noise, once with block-causal and once with bidirectional attention
    return [
        pytest.param(
            replace(config, temperature=temperature),
            (number + turn) % 2 == 0,
            id=f"{name}-{temperature:g}",
        )
        for number, (name, config) in enumerate(found.items())
        for turn, temperature in enumerate((0.0, 0.7))
    ]


@cache
def bare(config, future):
    return psd_lib.generate(make_model(5, future, 4.0), make_prompts(84, 2), config=config)


@pytest.mark.parametrize(("config", "future"), exact_choices())
def test_invariant_1_9_and_10_every_exact_choice_of_plugs_gives_what_its_bare_policy_gives(
    config, future
):
    """In tokens, steps and stop, in no more calls for any block; where finished blocks can be
    stored, with and without that.
    """
    reference = bare(config.bare, future)
    caches = [config.cache] if future else [config.cache, ExactBlock()]
    for plan in caches:
        drafted = psd_lib.generate(
            make_model(5, future, 4.0), make_prompts(84, 2), config=replace(config, cache=plan)
        )
        for one, other in zip(reference, drafted, strict=True):
            assert (one.tokens, one.stopped) == (
                other.tokens,
                other.stopped,
            ) and other.nfe <= one.nfe
            assert (
                one.trace.tokens.tolist() == other.trace.tokens.tolist()
                and one.trace.step.tolist() == other.trace.step.tolist()
            )
            np.testing.assert_allclose(one.trace.confidence, other.trace.confidence, atol=1e-4)
            calls = [
                Counter(entry["block"] for entry in sequence.trace.iterations)
                for sequence in (one, other)
            ]
            assert calls[1] <= calls[0]
        assert (
            sum(entry["drafted"] for sequence in drafted for entry in sequence.trace.iterations) > 0
        )


@pytest.mark.parametrize("drafter", ["chain", "order_swap"])
def test_invariant_13_and_14_drafts_add_at_most_d_tokens_a_call_and_more_of_them_do_not_hurt(
    drafter,
):
    model, prompts, tpf = make_model(3, True), make_prompts(83, 4), []
    for depth in (1, 3, 7):
        made = DecodeConfig.make("psd", threshold=0.9, drafter=drafter, depth=depth, gen_length=GEN)
        out = psd_lib.generate(model, prompts, config=made)
        for sequence in out:
            own = [
                int(((sequence.trace.iteration == t) & (sequence.trace.depth == 0)).sum())
                for t in range(len(sequence.trace.iterations))
            ]
            assert all(
                entry["committed"] <= step + depth
                for step, entry in zip(own, sequence.trace.iterations, strict=True)
            )
        tpf.append(out.tpf)
    bare = psd_lib.generate(model, prompts, config=made.bare)
    assert bare.tpf < tpf[0] < tpf[1] < tpf[2]


def test_labels_say_the_method_and_what_was_chosen():
    graph = CalibratedGraph(chain(5), 8, "five", "")
    labels = {
        "ssd(d=3)": DecodeConfig.make("ssd"),
        "ssd(mix-order d=7)": DecodeConfig.make("ssd", drafter="mix_order"),
        "spiffy(graph d=5 keep=3)": DecodeConfig.make(
            "spiffy", drafter="calibrated", graph=graph, depth=5, keep=3
        ),
        "freedave(confidence 0.9, d=7, subset)": DecodeConfig.make(
            "freedave", policy="confidence", depth=7, acceptor="subset"
        ),
        "psd(LocalLeap 0.9/0.75/4, order-swap d=11)": DecodeConfig.make(
            "psd", policy="local_leap", drafter="order_swap", depth=11
        ),
        "lopa(confidence 0.8, k=5)": DecodeConfig.make("lopa", threshold=0.8, k=5),
        "fdm(k=7)": DecodeConfig.make("fdm", k=7),
        "fdm_a(confidence 0.9, k=3 gamma=0.1)": DecodeConfig.make("fdm_a", gamma=0.1),
        "ete(confidence 0.9, k=1)": DecodeConfig.make("ete", k=1),
        "simsd(small packed)": DecodeConfig.make("simsd", draft="small"),
        "psd(confidence 0.9, small d=3)": DecodeConfig.make(
            "psd", drafter="draft_model", draft="small"
        ),
    }
    assert [config.label for config in labels.values()] == list(labels)


@pytest.mark.parametrize("drafter", ["chain", "order_swap", "mix_order", "calibrated"])
@pytest.mark.parametrize("acceptor", ["replay", "token_chain"])
def test_psd_takes_every_draft_graph_and_is_exact_under_replay_only(drafter, acceptor):
    model, prompts = make_model(1), make_prompts(82, 3)
    graph = {"graph": CalibratedGraph(chain(5), 8, "five", "")} if drafter == "calibrated" else {}
    made = DecodeConfig.make(
        "psd", threshold=0.9, drafter=drafter, acceptor=acceptor, depth=5, gen_length=GEN, **graph
    )
    assert made.exact == (acceptor == "replay")
    bare, drafted = (
        psd_lib.generate(model, prompts, config=config) for config in (made.bare, made)
    )
    assert sum(s.nfe for s in drafted) < sum(s.nfe for s in bare)
    if made.exact:
        assert [s.tokens for s in drafted] == [s.tokens for s in bare]


@pytest.mark.parametrize("decoder", ["lopa", "fdm", "fdm_a", "ete"])
def test_reconstructed_decoders_say_so_wherever_they_are_described(decoder):
    config = DecodeConfig.make(decoder)
    assert config.reconstructed and any("reconstructed" in note for note in config.notes)
    assert not config.exact and config.depth > 0
    assert config.to_dict()["builder"]["depth"] == config.depth


REFUSED = [
    (
        {"decoder": "psd", "drafter": "tree"},
        r"unknown drafter 'tree'; choose one of: none, chain, .*order_swap",
    ),
    (
        {"decoder": "psd", "drafter": "order_swap", "tokens_per_level": 2},
        "has no option 'tokens_per_level'; it accepts: threshold, depth, span",
    ),
    ({"decoder": "psd", "drafter": "calibrated"}, "calibrated drafts need a graph, graph=NAME"),
    ({"decoder": "psd", "drafter": "draft_model"}, "needs a draft model: pass draft=NAME"),
    ({"decoder": "simsd"}, "needs a draft model: pass draft=NAME"),
    (
        {"decoder": "psd", "policy": "klass"},
        "policy 'klass' cannot be combined with drafts: it compares .* use it alone .depth=0.",
    ),
    (
        {"decoder": "freedave", "policy": "credit"},
        "policy 'credit' cannot be combined with drafts: its credits .* such as 'confidence'",
    ),
    (
        {
            "decoder": "psd",
            "drafter": "calibrated",
            "graph": CalibratedGraph(chain(7), 32, "wide", ""),
        },
        (
            "'wide' was calibrated for block length 32, not for 8: decode with block_length=32 or"
            " calibrate a graph for 8"
        ),
    ),
    (
        {
            "decoder": "psd",
            "drafter": "calibrated",
            "graph": CalibratedGraph(chain(2), 8, "small", ""),
        },
        "'small' has 2 nodes, depth 7 asks for more",
    ),
    (
        {"decoder": "psd", "drafter": "draft_model", "draft": tiny_model(1, words=29)},
        (
            "draft 'tiny-1' and 'tiny-0' have different tokenizers.*; use a draft that was trained"
            " with the tokenizer of 'tiny-0'"
        ),
    ),
    (
        {"decoder": "simsd", "draft": tiny_model(1, words=29)},
        "have different tokenizers.*; use a draft that was trained with the tokenizer",
    ),
    (
        {"decoder": "psd", "acceptor": "rejection", "temperature": 0.5},
        "acceptor 'rejection' needs drafter 'packed' and temperature > 0",
    ),
    (
        {"decoder": "freedave", "drafter": "order_swap"},
        "decoder 'freedave' has no option 'drafter'",
    ),
    (
        {"decoder": "lopa", "depth": 3},
        "decoder 'lopa' has no option 'depth'; it accepts: threshold, k",
    ),
]


@pytest.mark.parametrize(
    ("options", "words"),
    REFUSED,
    ids=[
        "-".join(str(getattr(value, "name", value)) for value in case[0].values())
        for case in REFUSED
    ],
)
def test_plugs_that_do_not_fit_are_refused_with_what_would(options, words):
    with pytest.raises(UserError, match=words):
        psd_lib.generate(make_model(0), ["w3"], gen_length=8, **options)


def test_a_drafter_object_is_taken_as_it_is():
    graph = CalibratedGraph(chain(3), 8, "three", "")
    by_name = DecodeConfig.make("psd", drafter="calibrated", graph=graph, depth=2)
    assert DecodeConfig.make("psd", drafter=Calibrated(graph, 2)) == by_name
    assert replace(by_name, drafter=Calibrated(graph, 2)).to_dict() == by_name.to_dict()
