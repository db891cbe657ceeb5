"""Experiments as data: what a file means and what is refused."""

import pytest

from psd_lab import tasks, yaml_reader
from psd_lab.caches import EXACT
from psd_lab.runs.config import ExperimentConfig, config_hash, names
from psd_lab.runs.tiers import Tier
from psd_lib import DecodeConfig
from psd_lib.errors import UserError

DECODE = DecodeConfig.make("psd").to_dict()


def write(folder, text, name="mine"):
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return ExperimentConfig.load(name, folder)


def write_tiers(folder, text):
    """Write tiers.yaml beside two experiments that it may name."""
    for name in ("spatial", "temporal"):
        (folder / f"{name}.yaml").write_text(GOOD, encoding="utf-8")
    (folder / "tiers.yaml").write_text(text, encoding="utf-8")
    return Tier.load("odd", folder)


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
def test_every_committed_experiment_is_valid(name):
    config = ExperimentConfig.load(name)
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
        (GOOD.replace("[t]", "[]"), "must be a list of names with at least one entry, not []"),
        (GOOD.replace("[t]", "[t, 1]"), "with at least one entry, but entry 2 is 1"),
        (GOOD.replace("why", "[why]"), "question of experiment 'mine' must be a text"),
        (
            GOOD.replace("{decoder: greedy}", "greedy"),
            "list of mappings",
        ),
        (GOOD.replace("decoder:", "d:"), "must be a mapping with a `decoder` name, not {'d': "),
        (
            GOOD.replace("greedy}", "psd, depth: []}"),
            "depth of experiment 'mine' has no value: an option given as a list needs at least one",
        ),
        (GOOD + "models: [other]\n", "line 5: the key 'models' stands in line 2 already"),
        (GOOD + "options: " + "[" * 5000, "nested too deeply"),
        (GOOD + "1: 2\n", "unknown key 1: it takes question"),
        (
            GOOD.replace("greedy}", "greedy, only: large}"),
            (
                "`only` of a decoder of experiment 'mine' must be one of bidirectional,"
                " block_causal, unshifted, not 'large'"
            ),
        ),
        (GOOD + "options: [cache]\n", "options of experiment 'mine' must be a mapping"),
        ("[1, 2]", "must hold a mapping"),
        ("a: [", "mine.yaml, line 1: "),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, text, sentence):
    with pytest.raises(UserError) as error:
        write(tmp_path, text)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_utf_8_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "mine.yaml").write_bytes("question: schön".encode("latin-1"))
    with pytest.raises(UserError, match=r"mine.yaml is not a text in UTF-8"):
        ExperimentConfig.load("mine", tmp_path)


def test_an_experiment_made_in_code_is_checked_like_a_file():
    with pytest.raises(UserError, match=r"models of experiment 'mine' must be a list of names"):
        ExperimentConfig("mine", "why", "mini-ar", ("mini-gsm",), ({"decoder": "greedy"},))
    with pytest.raises(UserError, match=r"experiment 'mine' has unknown key 'model'"):
        ExperimentConfig("mine", "why", model=("mini-ar",))
    with pytest.raises(UserError, match=r"experiment 'mine' has no key 'models'"):
        ExperimentConfig("mine", "why")


def test_a_home_without_the_project_is_named(tmp_path):
    with pytest.raises(UserError, match=r"There is no file .*tiers.yaml: PSD_HOME"):
        Tier.load("smoke", tmp_path)


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UserError, match=r"Unknown experiment 'spatail': use one of .*spatial"):
        ExperimentConfig.load("spatail")
    with pytest.raises(UserError, match=r"Unknown tier 'tiny': use one of smoke, mini"):
        Tier.load("tiny")


def test_a_tier_can_be_cut_to_fewer_examples():
    assert Tier.load("mini").limit > Tier.load("mini:2").limit == 2
    for bad in ("mini:0", "mini:-1", "mini:x", "mini:1.5"):
        with pytest.raises(UserError):
            Tier.load(bad)


def test_one_experiment_can_have_more_items_unless_a_limit_is_asked_for(tmp_path):
    tier = write_tiers(tmp_path, "odd: {limit: 2, limits: {spatial: 5}}\n")
    assert (tier.limit_of("spatial"), tier.limit_of("temporal")) == (5, 2)
    assert tier.narrow(models=("mini-ar",)).limit_of("spatial") == 5
    for cut, name in (
        (Tier.load("odd:3", tmp_path), "odd:3"),
        (tier.narrow(limit=3), "odd:3"),
        (tier.narrow(limit=2), "odd:2"),
    ):
        assert cut.name == name
        assert cut.limit_of("spatial") == cut.limit_of("temporal") == cut.limit


def test_one_experiment_can_have_other_tasks_unless_tasks_are_asked_for(tmp_path):
    tier = write_tiers(
        tmp_path, "odd: {tasks: [mini-gsm, mini-mbpp], tasks_of: {spatial: [mini-mbpp]}}\n"
    )
    spatial, temporal = ExperimentConfig.load("spatial"), ExperimentConfig.load("temporal")
    assert tier.apply(spatial).tasks == ("mini-mbpp",)
    assert tier.apply(temporal).tasks == ("mini-gsm", "mini-mbpp")
    assert tier.narrow(models=("mini-ar",)).apply(spatial).tasks == ("mini-mbpp",)
    assert tier.narrow(tasks=("mini-gsm",)).apply(spatial).tasks == ("mini-gsm",)
    again = Tier("again", **yaml_reader.read_text(yaml_reader.dump(tier.values()), "a tier"))
    assert again.apply(spatial) == tier.apply(spatial)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("{limits: {spatial: 0}}", "whole number of at least 1 each, but spatial is 0"),
        ("{limits: {spatial: 1.5}}", "whole number of at least 1 each, but spatial is 1.5"),
        ("{limits: [spatial]}", "limits of tier 'odd' must be a mapping of experiments"),
        (
            "{limits: {spatail: 5}}",
            "limits of tier 'odd' names an unknown experiment 'spatail': use one of spatial, temp",
        ),
        ("{tasks_of: [spatial]}", "tasks_of of tier 'odd' must be a mapping of experiments"),
        ("{tasks_of: {spatial: mini-mbpp}}", "list of tasks each, but spatial is 'mini-mbpp'"),
        ("{tasks_of: {spatail: [mini-mbpp]}}", "tasks_of of tier 'odd' names an unknown exp"),
        ("{experiments: [spatail]}", "experiments of tier 'odd' names an unknown experiment"),
        ("{models: mini-ar}", "models of tier 'odd' must be a list of names"),
        (
            "{dtype: 32}",
            "dtype of tier 'odd' must be one of float32, float64, bfloat16, float16, not 32",
        ),
        ("{limt: 3}", "Tier 'odd' has unknown key 'limt': it takes limit, limits, models"),
        ("{cut: 3}", "Tier 'odd' has unknown key 'cut'"),
        ("[1]", "Tier 'odd' must be a mapping of limit, limits, models"),
    ],
)
def test_a_wrong_tier_is_refused_in_one_sentence(tmp_path, values, sentence):
    with pytest.raises(UserError) as error:
        write_tiers(tmp_path, f"odd: {values}\n")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_tier_given_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"line 2: the key 'odd' stands in line 1 already"):
        write_tiers(tmp_path, "odd: {limit: 2}\nodd: {limit: 3}\n")


@pytest.mark.parametrize("limit", ["0", "yes", "1.5", "many"])
def test_a_tier_file_with_a_wrong_limit_is_refused(tmp_path, limit):
    with pytest.raises(UserError, match=r"limit of tier 'odd' must be a whole number"):
        write_tiers(tmp_path, f"odd: {{limit: {limit}}}\n")


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
