"""Experiments as data: what a file means and what is refused."""

import pytest
import yaml

from psd_lab import tasks
from psd_lab.runs.config import ExperimentConfig, config_hash, names
from psd_lab.runs.sources import EXACT
from psd_lab.runs.tiers import Tier
from psd_lib.decoding import DecodeConfig
from psd_lib.errors import UserError

DECODE = DecodeConfig.make("psd").to_dict()


def write(folder, text, name="mine"):
    (folder / f"{name}.yaml").write_text(text)
    return ExperimentConfig.load(name, folder)


GOOD = "question: why\nmodels: [m]\ntasks: [t]\ndecoders: [{decoder: greedy}]\n"


def test_lists_multiply_out_in_order_and_repeats_count_once(tmp_path):
    text = GOOD.replace(
        "[{decoder: greedy}]",
        "[{decoder: psd, policy: [confidence, top_k], depth: [0, 3]}, {decoder: psd, depth: 3,"
        " policy: top_k}]",
    )
    assert write(tmp_path, text).expand() == [
        {"decoder": "psd", "policy": "confidence", "depth": 0},
        {"decoder": "psd", "policy": "confidence", "depth": 3},
        {"decoder": "psd", "policy": "top_k", "depth": 0},
        {"decoder": "psd", "policy": "top_k", "depth": 3},
    ]


def test_common_options_hold_unless_a_decoder_says_otherwise(tmp_path):
    text = GOOD + "options: {cache: exact_block, seed: 1}\n"
    text = text.replace("[{decoder: greedy}]", "[{decoder: greedy}, {decoder: psd, seed: [2, 3]}]")
    found = write(tmp_path, text).expand()
    assert [(one["decoder"], one["cache"], one["seed"]) for one in found] == [
        ("greedy", "exact_block", 1),
        ("psd", "exact_block", 2),
        ("psd", "exact_block", 3),
    ]


@pytest.mark.parametrize("name", names())
def test_every_committed_experiment_is_valid_and_survives_yaml(name, tmp_path):
    config = ExperimentConfig.load(name)
    assert write(tmp_path, config.to_yaml(), name) == config
    assert set(config.tasks) <= set(tasks.names())
    concrete = [
        options | {"cache": "none"} if options.get("cache") == EXACT else options
        for options in config.expand()
    ]
    configs = [DecodeConfig.make(**options) for options in concrete]
    assert len({one.label for one in configs}) == len(configs)


def test_the_experiments_of_the_paper_are_there():
    assert {"confidence_scoring", "spatial", "temporal", "combined"} <= set(names())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            GOOD + "typo: 1\n",
            "unknown key 'typo': it takes question, models, tasks, decoders, options, split",
        ),
        (GOOD.replace("tasks: [t]\n", ""), "no key 'tasks'"),
        (GOOD.replace("[m]", "m"), "models of experiment 'mine' must be a list"),
        (
            GOOD.replace("[t]", "[]"),
            "tasks of experiment 'mine' must be a list with at least one entry",
        ),
        (
            GOOD.replace("{decoder: greedy}", "greedy"),
            "must be a mapping with a `decoder` name, not 'greedy'",
        ),
        (
            GOOD.replace("greedy}", "greedy, only: large}"),
            (
                "`only` of a decoder of experiment 'mine' must be one of bidirectional,"
                " block_causal, unshifted, not 'large'"
            ),
        ),
        (GOOD + "options: [cache]\n", "options of experiment 'mine' must be a mapping"),
        ("[1, 2]", "must hold a mapping"),
        ("a: [", "is not readable YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, text, sentence):
    with pytest.raises(UserError) as error:
        write(tmp_path, text)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UserError, match="Unknown experiment 'spatail': use one of .*spatial"):
        ExperimentConfig.load("spatail")
    with pytest.raises(UserError, match="Unknown tier 'tiny': use one of smoke, mini"):
        Tier.load("tiny")


def test_a_tier_can_be_cut_to_fewer_examples():
    assert Tier.load("mini").limit > Tier.load("mini:2").limit == 2
    for bad in ("mini:0", "mini:-1", "mini:x", "mini:1.5"):
        with pytest.raises(UserError):
            Tier.load(bad)


def test_one_experiment_can_have_more_items_unless_a_limit_is_asked_for(tmp_path):
    (tmp_path / "tiers.yaml").write_text("odd: {limit: 2, limits: {spatial: 5}}\n")
    tier = Tier.load("odd", tmp_path)
    assert (tier.limit_of("spatial"), tier.limit_of("temporal")) == (5, 2)
    assert tier.narrow(models=("mini-ar",)).limit_of("spatial") == 5
    for cut, name in (
        (Tier.load("odd:3", tmp_path), "odd:3"),
        (tier.narrow(limit=3), "odd:3"),
        (tier.narrow(limit=2), "odd:2"),
    ):
        assert cut.name == name
        assert cut.limit_of("spatial") == cut.limit_of("temporal") == cut.limit
    for wrong, sentence in (
        ("{spatial: 0}", "must be a whole number"),
        ("[spatial]", "must give experiments a number each"),
    ):
        (tmp_path / "tiers.yaml").write_text(f"odd: {{limits: {wrong}}}\n")
        with pytest.raises(UserError, match=sentence):
            Tier.load("odd", tmp_path)


def test_one_experiment_can_have_other_tasks_unless_tasks_are_asked_for(tmp_path):
    (tmp_path / "tiers.yaml").write_text(
        "odd: {tasks: [mini-gsm, mini-mbpp], tasks_of: {spatial: [mini-mbpp]}}\n"
    )
    tier, spatial, temporal = (
        Tier.load("odd", tmp_path),
        ExperimentConfig.load("spatial"),
        ExperimentConfig.load("temporal"),
    )
    assert tier.apply(spatial).tasks == ("mini-mbpp",) and tier.apply(temporal).tasks == (
        "mini-gsm",
        "mini-mbpp",
    )
    assert tier.narrow(models=("mini-ar",)).apply(spatial).tasks == ("mini-mbpp",)
    assert tier.narrow(tasks=("mini-gsm",)).apply(spatial).tasks == ("mini-gsm",)
    assert Tier("again", **yaml.safe_load(yaml.safe_dump(tier.values()))).apply(
        spatial
    ) == tier.apply(spatial)
    for wrong, sentence in (
        ("[spatial]", "a list of tasks each"),
        ("{spatial: mini-mbpp}", "tasks_of spatial of tier 'odd' must be a list"),
    ):
        (tmp_path / "tiers.yaml").write_text(f"odd: {{tasks_of: {wrong}}}\n")
        with pytest.raises(UserError, match=sentence):
            Tier.load("odd", tmp_path)


@pytest.mark.parametrize("limit", ["0", "yes", "1.5", "many"])
def test_a_tier_file_with_a_wrong_limit_is_refused(tmp_path, limit):
    (tmp_path / "tiers.yaml").write_text(f"odd: {{limit: {limit}}}\n")
    with pytest.raises(UserError, match="limit of tier 'odd' must be a whole number"):
        Tier.load("odd", tmp_path)


def test_the_hash_depends_on_everything_that_decides_a_row_and_nothing_else():
    base = ("model", "task", "test", "data", DECODE)
    assert config_hash(*base) == config_hash(*base[:4], dict(reversed(DECODE.items())))
    others = [
        ("other", *base[1:]),
        ("model", "other", *base[2:]),
        (*base[:2], "train", *base[3:]),
        (*base[:3], "other", DECODE),
    ]
    others += [(*base[:4], DecodeConfig.make("psd", depth=5).to_dict())]
    assert len({config_hash(*one) for one in [base, *others]}) == 6
