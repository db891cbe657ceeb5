"""Calibrated draft graphs: counting, selection, files, pruning, and that a graph changes the number
of calls only.
"""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.configs import config, run
from support.models import make_model, make_prompts

import psd_lib
from psd_lab import paths
from psd_lab.calibration import calibrate, load, names, save
from psd_lab.calibration.counts import Counts
from psd_lab.tasks.base import Score, Task
from psd_lib import DecodeConfig
from psd_lib.core.policies import TopK
from psd_lib.core.scores import Scores, best_tokens, proposed_first
from psd_lib.errors import UserError
from psd_lib.methods.spiffy import Calibrated
from psd_lib.methods.spiffy.calibrated import promise
from psd_lib.methods.spiffy.graph import CalibratedGraph, Graph
from psd_lib.testing import step_of

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")
M = 1  # the mask token


def measured(*formulas, block_length=8):
    return CalibratedGraph(Graph(tuple(formulas)), block_length, "literal", "0" * 12)


SMALL = measured(
    [(0, 0)], [(0, 1)], [(0, 0), (1, 0)], [(1, 0)], [(0, 0), (1, 1)], [(0, 0), (1, 0), (2, 0)]
)


def test_calibrated_docstring_example():
    graph = measured([(0, 0)], [(0, 1)], [(0, 0), (1, 0)], block_length=4)
    node0 = torch.tensor([[7, M, M, 9]])
    stale = Scores(
        torch.tensor([[7, 1, 3, 9]]),
        torch.tensor([[0.0, 0.5, 0.6, 0.0]]),
        top_tokens=torch.tensor([[[0, 0], [1, 2], [3, 4], [0, 0]]]),
        top_confidence=torch.tensor([[[0.0, 0], [0.5, 0.4], [0.6, 0.3], [0, 0]]]),
    )
    drafts = Calibrated(graph, 3).draft(
        step_of(node0, node0 == M, stale, TopK(1), torch.tensor([1]))
    )
    assert drafts.tokens.tolist() == [[[7, M, M, 9], [7, M, 3, 9], [7, M, 4, 9], [7, 1, 3, 9]]]


def test_the_proposed_token_is_always_vocabulary_rank_0():
    tokens, chance = proposed_first(
        torch.tensor([[7, 4, 2]]),
        torch.tensor([[0.3, 0.5, 0.05]]),
        torch.tensor([[[4, 7, 9]] * 3]),
        torch.tensor([[[0.5, 0.3, 0.1]] * 3]),
    )
    assert tokens.tolist() == [[[7, 4, 9], [4, 7, 9], [2, 4, 7]]]
    torch.testing.assert_close(
        chance, torch.tensor([[[0.3, 0.5, 0.1], [0.5, 0.3, 0.1], [0.05, 0.5, 0.3]]])
    )


def test_best_tokens_break_ties_by_the_lower_id():
    ids, chance = best_tokens(torch.tensor([[0.0, 2.0, 2.0, 1.0]]), 3)
    assert ids.tolist() == [[1, 2, 3]]
    torch.testing.assert_close(
        chance, torch.tensor([[0.0, 2.0, 2.0, 1.0]]).softmax(-1).gather(1, ids)
    )


def test_accumulated_counts_take_a_connected_graph_the_best_first():
    counts = Counts()
    one, two, both = ((0, 0),), ((1, 0),), ((0, 0), (1, 0))
    counts.add([[one, both]] * 4 + [[one], [two, both], [two]])
    assert (counts.states, counts.reached[one], counts.reached[two], counts.reached[both]) == (
        7,
        5,
        2,
        5,
    )
    assert counts.best(5) == [one, both, two]
    assert counts.best(1) == [one]


def test_a_formula_whose_parents_are_unknown_waits_for_one():
    counts = Counts()
    far = ((0, 0), (5, 0))
    counts.add([[None, far]] * 9 + [[((0, 0),), ((0, 0), (1, 0))]])
    assert far not in counts.best(9) and len(counts.best(9)) == 2


def test_promise_is_spiffys_run_time_score():
    graph = Graph((((0, 0),), ((1, 0),), ((0, 0), (1, 0))))
    valid = torch.ones(1, 4, dtype=torch.bool)
    value = promise(graph, torch.tensor([[1, 0]]), torch.tensor([[[0.4], [0.9]]]), valid)
    torch.testing.assert_close(
        value.exp(), torch.tensor([[(0.9 * 0.6) ** 0.5, (0.4 * 0.6) ** 0.5, 0.6]])
    )
    valid[0, 3] = False
    value = promise(graph, torch.tensor([[1, 0]]), torch.tensor([[[0.4], [0.9]]]), valid)
    torch.testing.assert_close(value[:, :2].exp(), torch.tensor([[0.9, 0.4]]))


MODELS = {"block-causal": (1, False, 6.0), "bidirectional": (3, True, 6.0)}


@pytest.mark.parametrize("policy", ["top_k", "confidence"])
@pytest.mark.parametrize("spec", MODELS)
def test_invariant_22_pruning_keeps_a_subset_and_never_changes_output(spec, policy):
    model, prompts = make_model(*MODELS[spec]), make_prompts(51, 4)
    settings = config(policy)
    bare = run(model, prompts, settings.bare)
    for keep in (None, 3, 1):
        pruned = run(model, prompts, replace(settings, drafter=Calibrated(SMALL, 6, keep)))
        for one, other in zip(bare, pruned, strict=True):
            assert one.tokens == other.tokens and (one.trace.step == other.trace.step).all()
            assert other.nfe <= one.nfe
            assert all(entry["drafted"] <= (keep or 6) for entry in other.trace.iterations)


def test_invariant_22_a_node_is_reached_through_either_parent():
    """Both orders of two commits lead to the node that holds both; with one order's parent gone the
    other still does.
    """
    model, prompts = make_model(3, True), make_prompts(52, 6)
    both, best, other = [(0, 0), (1, 0)], [(0, 0)], [(1, 0)]
    found = {}
    for name, formulas in {
        "best": [best, both],
        "other": [other, both],
        "either": [best, other, both],
    }.items():
        out = run(
            model,
            prompts,
            replace(config("top_k"), drafter=Calibrated(measured(*formulas), len(formulas))),
        )
        found[name] = sum(
            entry["accepted"] == 2 for sequence in out for entry in sequence.trace.iterations
        )
    assert found["best"] > 0 and found["other"] > 0
    assert found["either"] > max(found["best"], found["other"])


@pytest.fixture
def toy(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "TASKS", tmp_path)
    (tmp_path / "toy").mkdir()
    lines = [
        json.dumps(
            {"id": f"toy/{i}", "prompt": f"w{3 + i} w{4 + i}", "reference": "w5", "meta": {}}
        )
        for i in range(6)
    ]
    (tmp_path / "toy" / "validation.jsonl").write_text("\n".join(lines) + "\n")
    return Task("toy", "words", 16, lambda completion, example: Score(True, None, ""))


def test_calibration_counts_what_the_policy_did(toy):
    """Against counts made from traces and recorded scores instead of the witness: how often the
    best guess came next.
    """
    model = make_model(0)
    found = calibrate(model, toy, 6, nodes=40, horizon=2, vocabulary=2)
    prompts = [example.prompt for example in toy.load("validation")]
    expected = Counter()
    states = 0
    for sequence in psd_lib.generate(model, prompts, "greedy", gen_length=16, record_scores=True):
        trace = sequence.trace
        for entry, iteration in zip(trace.scores, trace.iterations, strict=True):
            left = [
                k for k, p in enumerate(entry["positions"]) if trace.step[p] != entry["iteration"]
            ]
            after = [t for t in trace.scores if t["iteration"] == entry["iteration"] + 1]
            states += bool(left)
            if (
                not left
                or not after
                or trace.iterations[entry["iteration"] + 1]["block"] != iteration["block"]
            ):
                continue
            best = min(left, key=lambda k: (-entry["confidence"][k], entry["positions"][k]))
            [came] = np.flatnonzero(trace.step == entry["iteration"] + 1)
            expected["all"] += 1
            expected["best"] += (
                entry["positions"][best] == came and entry["token"][best] == trace.tokens[came]
            )
    counts = dict(zip(found.formulas, found.counts, strict=True))
    assert counts[((0, 0),)] == expected["best"] > 0
    assert sum(n for formula, n in counts.items() if len(formula) == 1) <= expected["all"]
    assert found.states == states
    assert found.formulas[0] == ((0, 0),)


def test_calibration_says_where_it_comes_from_and_its_graph_saves_calls(toy, tmp_path):
    model = make_model(0)
    found = calibrate(model, [toy], 5, name="try", policy="confidence", threshold=0.6)
    assert found.provenance["tasks"]["toy"]["items"] == [f"toy/{i}" for i in range(5)]
    assert found.provenance["policy"] == {"name": "confidence", "threshold": 0.6}
    assert (found.provenance["split"], found.block_length) == ("validation", 8)
    save(found, tmp_path)
    assert names(tmp_path) == ["try"] and load("try", tmp_path) == load(tmp_path / "try.json")
    read = load("try", tmp_path)
    assert read.graph == found.graph and read.counts == found.counts
    prompts, settings = make_prompts(53, 6), config("confidence")
    bare = run(model, prompts, settings.bare)
    drafted = run(
        model,
        prompts,
        replace(settings, drafter=Calibrated(read.graph, min(7, len(read.formulas)))),
    )
    assert [s.tokens for s in bare] == [s.tokens for s in drafted]
    assert sum(s.nfe for s in drafted) < sum(s.nfe for s in bare)


def test_a_graph_for_another_block_length_is_refused():
    settings = replace(config("top_k"), drafter=Calibrated(measured([(0, 0)], block_length=32), 1))
    with pytest.raises(
        UserError,
        match=(
            "'literal' was calibrated for block length 32, not for 8: decode with block_length=32"
            " or calibrate"
        ),
    ):
        run(make_model(0), make_prompts(54, 1), settings)


def test_impossible_graphs_are_refused(tmp_path, toy):
    with pytest.raises(UserError, match="need a graph, graph=NAME; there are: "):
        _ = Calibrated().calibrated
    with pytest.raises(UserError, match="unknown graph 'none-such'; there are: "):
        _ = Calibrated("none-such").calibrated
    (tmp_path / "torn.json").write_text('{"format": 1, "name": "torn"}')
    with pytest.raises(UserError, match="is no graph file"):
        load("torn", tmp_path)
    with pytest.raises(UserError, match="'literal' has 6 nodes, depth 7 asks for more"):
        _ = Calibrated(SMALL, 7).formulas
    with pytest.raises(UserError, match="keep must be a whole number of at least 1"):
        Calibrated(SMALL, 3, 0)
    with pytest.raises(UserError, match="has 6 validation items, calibration asks for 7"):
        calibrate(make_model(0), toy, 7)


def test_a_config_names_the_graph_by_its_content():
    described = replace(DecodeConfig.make("psd"), drafter=Calibrated(SMALL, 3)).to_dict()["builder"]
    assert described == {
        "name": "calibrated",
        "graph": "literal",
        "digest": "0" * 12,
        "depth": 3,
        "keep": None,
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"items": 0}, "items must be a whole number of at least 1"),
        ({"items": 2.5}, "items must be a whole number of at least 1"),
        ({"nodes": 0}, "nodes must be a whole number of at least 1"),
        ({"horizon": "4"}, "horizon must be a whole number of at least 1"),
        ({"vocabulary": True}, "vocabulary must be a whole number of at least 1"),
        ({"name": "../graph"}, "name must be a file's name of letters, digits"),
        ({"name": ""}, "name must be a file's name of letters, digits"),
        ({"name": 7}, "name must be a file's name of letters, digits"),
        ({"task": []}, "task must be a task or a list of different ones"),
        ({"task": "toy"}, "task must be a task or a list of different ones"),
        ({"task": None}, "task must be a task or a list of different ones"),
        ({"policy": "none-such"}, "none-such"),
        ({"speed": 9}, "speed"),
    ],
)
def test_a_wrong_argument_is_one_sentence(toy, monkeypatch, options, sentence):
    monkeypatch.setattr(psd_lib, "generate", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(UserError, match=sentence):
        calibrate(make_model(0), **({"task": toy, "items": 4} | options))


def test_tasks_are_checked_before_any_of_them_is_decoded(toy, monkeypatch):
    monkeypatch.setattr(psd_lib, "generate", lambda *_, **__: pytest.fail("decoded"))
    small = replace(toy, name="small")
    (paths.TASKS / "small").mkdir()
    line = (paths.TASKS / "toy" / "validation.jsonl").read_text().splitlines()[0]
    (paths.TASKS / "small" / "validation.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match="'small' has 1 validation items, calibration asks for 2"):
        calibrate(make_model(0), [toy, small], 4)
    with pytest.raises(UserError, match=r"different ones, .* not \['toy', 'toy'\]"):
        calibrate(make_model(0), [toy, toy], 4)
    with pytest.raises(UserError, match="items must be at least 2, one for each task, not 1"):
        calibrate(make_model(0), [toy, small], 1)
