"""The temporal decoders by name: which are one algorithm, what their options mean, how they call themselves."""

from dataclasses import replace

import pytest
from test_invariants import GEN, make_model, make_prompts

import psd_lib
from psd_lib.decoding import DecodeConfig
from psd_lib.decoding.drafts import Calibrated
from psd_lib.decoding.graphs import Measured, chain
from psd_lib.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")


@pytest.mark.parametrize("future", [False, True], ids=["block-causal", "bidirectional"])
@pytest.mark.parametrize("k", [1, 4])
def test_invariant_3_freedave_ssd_spiffy_and_psd_are_one_algorithm(k, future):
    """FreeDave(K) = SSD(K - 1) = Spiffy(chain, K - 1) = PSD(greedy, K - 1), record for record."""
    model, prompts = make_model(3, future, 4.0), make_prompts(81, 3)
    graph = Measured(chain(k - 1), 8, "chain", "")
    configs = [
        DecodeConfig.make("freedave", depth=k - 1, gen_length=GEN),
        DecodeConfig.make("ssd", depth=k - 1, gen_length=GEN),
        DecodeConfig.make("spiffy", builder="calibrated", graph=graph, depth=k - 1, gen_length=GEN),
        DecodeConfig.make("psd", policy="top_k", k=1, depth=k - 1, gen_length=GEN),
    ]
    first, *others = [psd_lib.generate(model, prompts, config=config) for config in configs]
    assert k == 1 or sum(entry["accepted"] for sequence in first for entry in sequence.trace.iterations) > 0
    for other in others:
        for one, same in zip(first, other):
            assert (one.tokens, one.nfe, one.rows, one.stopped) == (same.tokens, same.nfe, same.rows, same.stopped)
            assert one.trace.iterations == same.trace.iterations
            assert (one.trace.step == same.trace.step).all() and (one.trace.depth == same.trace.depth).all()


@pytest.mark.parametrize("builder", ["chain", "order_swap"])
def test_invariants_13_and_14_drafts_add_at_most_d_tokens_a_call_and_more_of_them_do_not_hurt(builder):
    model, prompts, tpf = make_model(3, True), make_prompts(83, 4), []
    for depth in (1, 3, 7):
        made = DecodeConfig.make("psd", threshold=0.9, builder=builder, depth=depth, gen_length=GEN)
        out = psd_lib.generate(model, prompts, config=made)
        for sequence in out:
            own = [int(((sequence.trace.iteration == t) & (sequence.trace.depth == 0)).sum()) for t in range(len(sequence.trace.iterations))]
            assert all(entry["committed"] <= step + depth for step, entry in zip(own, sequence.trace.iterations))
        tpf.append(out.tpf)
    assert tpf[0] <= 1.02 * tpf[1] <= 1.02**2 * tpf[2]  # on average only: another jump starts the next drafts elsewhere
    assert tpf[0] < tpf[2]


def test_labels_say_the_method_and_what_was_chosen():
    graph = Measured(chain(5), 8, "five", "")
    labels = {
        "ssd(d=3)": DecodeConfig.make("ssd"),
        "ssd(mix-order d=7)": DecodeConfig.make("ssd", builder="mix_order"),
        "spiffy(graph d=5 keep=3)": DecodeConfig.make("spiffy", builder="calibrated", graph=graph, depth=5, keep=3),
        "freedave(confidence 0.9, d=7, subset)": DecodeConfig.make("freedave", policy="confidence", depth=7, acceptor="subset"),
        "psd(LocalLeap 0.9/0.75/4, order-swap d=11)": DecodeConfig.make("psd", policy="local_leap", builder="order_swap", depth=11),
        "lopa(confidence 0.8, k=5)": DecodeConfig.make("lopa", threshold=0.8, k=5),
        "fdm(k=7)": DecodeConfig.make("fdm", k=7),
        "fdm_a(confidence 0.9, k=3 gamma=0.1)": DecodeConfig.make("fdm_a", gamma=0.1),
        "ete(confidence 0.9, k=1)": DecodeConfig.make("ete", k=1),
        "simsd(small packed)": DecodeConfig.make("simsd", draft="small"),
        "psd(confidence 0.9, small d=3)": DecodeConfig.make("psd", builder="draft_model", draft="small"),
    }
    assert [config.label for config in labels.values()] == list(labels)


@pytest.mark.parametrize("builder", ["chain", "order_swap", "mix_order", "calibrated"])
@pytest.mark.parametrize("acceptor", ["replay", "token_chain"])
def test_psd_takes_every_draft_graph_and_is_exact_under_replay_only(builder, acceptor):
    model, prompts = make_model(1), make_prompts(82, 3)
    graph = {"graph": Measured(chain(5), 8, "five", "")} if builder == "calibrated" else {}
    made = DecodeConfig.make("psd", threshold=0.9, builder=builder, acceptor=acceptor, depth=5, gen_length=GEN, **graph)
    assert made.exact == (acceptor == "replay")
    bare, drafted = (psd_lib.generate(model, prompts, config=config) for config in (made.bare, made))
    assert sum(s.nfe for s in drafted) < sum(s.nfe for s in bare)
    if made.exact:
        assert [s.tokens for s in drafted] == [s.tokens for s in bare]


@pytest.mark.parametrize("decoder", ["lopa", "fdm", "fdm_a", "ete"])
def test_reconstructed_decoders_say_so_wherever_they_are_described(decoder):
    config = DecodeConfig.make(decoder)
    assert config.fidelity == "reconstructed" and any("reconstructed" in note for note in config.notes)
    assert not config.exact and config.depth > 0
    assert config.to_dict()["builder"]["depth"] == config.depth


REFUSED = [
    ({"decoder": "psd", "builder": "tree"}, "unknown builder 'tree'; choose one of: none, chain, order_swap"),
    ({"decoder": "psd", "builder": "order_swap", "tokens_per_level": 2}, "has no option 'tokens_per_level'; it accepts: threshold, depth, span"),
    ({"decoder": "psd", "builder": "calibrated"}, "calibrated drafts need a graph, graph=NAME"),
    ({"decoder": "psd", "builder": "draft_model"}, "needs a draft model: pass draft=NAME"),
    ({"decoder": "simsd"}, "needs a draft model: pass draft=NAME"),
    ({"decoder": "psd", "policy": "klass"}, "policy 'klass' cannot be combined with drafts"),
    ({"decoder": "freedave", "builder": "order_swap"}, "decoder 'freedave' has no option 'builder'"),
    ({"decoder": "lopa", "depth": 3}, "decoder 'lopa' has no option 'depth'; it accepts: threshold, k"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED, ids=[f"{'-'.join(map(str, case[0].values()))}" for case in REFUSED])
def test_plugs_that_do_not_fit_are_refused_with_what_would(options, words):
    with pytest.raises(UserError, match=words):
        psd_lib.generate(make_model(0), ["w3"], gen_length=8, **options)


def test_a_builder_object_is_taken_as_it_is():
    graph = Measured(chain(3), 8, "three", "")
    by_name = DecodeConfig.make("psd", builder="calibrated", graph=graph, depth=2)
    assert DecodeConfig.make("psd", builder=Calibrated(graph, 2)) == by_name
    assert replace(by_name, builder=Calibrated(graph, 2)).to_dict() == by_name.to_dict()
