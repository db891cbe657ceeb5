"""Values of config.json: types are checked before anything is computed, in one sentence each."""

import json
import os
import subprocess
import sys

import pytest

import psd_lib
from psd_lib.errors import UserError
from psd_lib.models import FAMILIES
from psd_lib.models.configs import rope
from psd_lib.testing import save_checkpoint, tiny_model

INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    return save_checkpoint(tiny_model(0), tmp_path / "tiny")


def edit(folder, changes, file="config.json"):
    path = folder / file
    raw = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(raw | changes), encoding="utf-8")


WRONG = {
    "id in quotes": ({"eos_token_id": "0"}, "eos_token_id = '0'; it must be a token id or a list"),
    "id is a fraction": ({"mask_token_id": 1.0}, "mask_token_id = 1.0; it must be a token id"),
    "id below zero": ({"mask_token_id": -1}, "mask_token_id = -1; it must be a token id"),
    "ids in quotes": ({"eos_token_id": [0, "5"]}, r"eos_token_id = \[0, '5'\]; it must be"),
    "no ids": ({"eos_token_id": []}, r"eos_token_id = \[\]; it must be"),
    "pad is a list": ({"pad_token_id": [0]}, r"pad_token_id = \[0\]; it must be a token id"),
    "block is a word": ({"block_size": "big"}, "block_size = 'big'; it must be a whole number"),
    "block is a fraction": ({"block_size": 8.5}, "block_size = 8.5; it must be a whole number"),
    "block is nothing": ({"block_size": 0}, "block_size = 0; it must be a whole number of at"),
    "block is true": ({"block_size": True}, "block_size = True; it must be a whole number"),
    "size in quotes": ({"hidden_size": "32"}, "hidden_size = '32'; it must be a whole number"),
    "size is a list": ({"head_dim": [16]}, r"head_dim = \[16\]; it must be a whole number"),
    "size below zero": ({"num_hidden_layers": -2}, "num_hidden_layers = -2; it must be"),
    "size is null": ({"head_dim": None}, "config.json lacks head_dim"),
    "size is huge": ({"hidden_size": 10**30}, "hidden_size = 10+; it must be a whole number"),
    "many layers": ({"num_hidden_layers": 10**9}, "1000000000 layers, but the weights have 2"),
    "wide layers": ({"intermediate_size": 10**9}, r"describes [\d,]+ parameters, but the weights"),
    "odd heads": ({"num_attention_heads": 0}, "num_attention_heads = 0; it must be"),
    "not a number": ({"rms_norm_eps": float("nan")}, "rms_norm_eps = nan; it must be a positive"),
    "base in quotes": ({"rope_theta": "1e6"}, "rope_theta = '1e6'; it must be a positive number"),
    "base is nothing": ({"rope_theta": 0}, "rope_theta = 0; it must be a positive number"),
    "base is null": ({"rope_theta": None}, "config.json lacks rope_theta"),
    "two bases": (
        {"rope_parameters": {"rope_theta": 5e5}},
        "rope_theta = 10000.0, but 500000.0 in rope_parameters; they must be the same",
    ),
    "nested base in quotes": (
        {"rope_parameters": {"rope_theta": "5e5"}},
        "rope_parameters of config.json has rope_theta = '5e5'; it must be a positive number",
    ),
    "nested list": ({"rope_parameters": [1]}, r"rope_parameters = \[1\], which is not supported"),
    "tied by a word": ({"tie_word_embeddings": "no"}, "tie_word_embeddings = 'no'; it must be tr"),
    "type is a list": ({"model_type": ["sdar"]}, r"model_type = \['sdar'\]; it must be a text"),
    "type is null": ({"model_type": None}, "model_type None is not supported"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_value_of_the_wrong_type_is_one_sentence(folder, case):
    changes, words = WRONG[case]
    edit(folder, changes)
    with pytest.raises(UserError, match=words) as caught:
        psd_lib.load(folder)
    assert "\n" not in str(caught.value)


def test_ids_of_the_generation_config_are_checked_as_well(folder):
    edit(folder, {"eos_token_id": "0"}, "generation_config.json")
    with pytest.raises(
        UserError, match=r"^generation_config\.json has eos_token_id = '0'; it must"
    ):
        psd_lib.load(folder)


@pytest.mark.parametrize("changes", [{"pad_token_id": -1}, {"pad_token_id": None}])
def test_no_padding_token_is_none(folder, changes):
    edit(folder, changes)
    assert psd_lib.load(folder).pad_id == 0


MIXTURES = [
    ("llada_moe", {"num_experts_per_tok": 5}, "supported is at most num_experts, 4"),
    ("llada2_moe", {"num_experts_per_tok": 5}, "supported is at most num_experts, 4"),
    ("llada2_moe", {"n_group": 3}, "n_group = 3, .* supported is a divisor of 4 experts"),
    ("llada2_moe", {"topk_group": 3}, "topk_group = 3, .* supported is at most n_group, 2"),
]


@pytest.mark.parametrize(("family", "changes", "words"), MIXTURES)
def test_experts_that_cannot_be_chosen_are_refused_when_loading(tmp_path, family, changes, words):
    folder = save_checkpoint(tiny_model(0, family=family), tmp_path / "tiny")
    edit(folder, changes)
    with pytest.raises(UserError, match=words):
        psd_lib.load(folder)


HARMLESS = [
    {"rope_scaling": None},
    {"rope_scaling": {}},
    {"rope_scaling": {"rope_type": "default"}},
    {"rope_scaling": {"type": "default"}},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 10000}},
    {"rope_parameters": None},
]


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_that_are_not_scaled_are_accepted_however_it_is_said(tmp_path, family):
    folder = save_checkpoint(tiny_model(0, family=family), tmp_path / "tiny")
    config = (folder / "config.json").read_text(encoding="utf-8")
    for changes in HARMLESS:
        (folder / "config.json").write_text(config, encoding="utf-8")
        edit(folder, changes)
        loaded = psd_lib.load(folder).denoiser.network.config
        assert loaded.rope_parameters["rope_type"] == "default"
        assert loaded.rope_parameters["rope_theta"] == 10000.0


SCALED = [
    {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
    {"rope_scaling": {"type": "dynamic", "factor": 4.0}},
    {"rope_scaling": "yarn"},
    {"rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0}},
    {"rope_parameters": {"type": "yarn"}},
    {"rope_parameters": {"rope_type": "default", "factor": 2.0}},
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("number", range(len(SCALED)))
def test_scaled_positions_are_refused_for_every_family(tmp_path, family, number):
    folder = save_checkpoint(tiny_model(0, family=family), tmp_path / "tiny")
    edit(folder, SCALED[number])
    with pytest.raises(UserError, match="which is not supported for model_type"):
        psd_lib.load(folder)


def test_a_partly_rotated_head_is_for_the_families_that_have_one():
    raw = {"model_type": "x", "rope_theta": 1e4, "rope_parameters": {"partial_rotary_factor": 0.5}}
    assert rope(raw, partial=True)["rope_parameters"]["partial_rotary_factor"] == 0.5
    with pytest.raises(UserError, match=r"partial_rotary_factor = 0\.5, which is not supported"):
        rope(raw)
    with pytest.raises(UserError, match="lacks partial_rotary_factor"):
        rope({"model_type": "x", "rope_theta": 1e4}, partial=True)


FILES = {
    "byte order mark": "\ufeff{}".encode(),
    "other encoding": "{}".encode("utf-16"),
    "deep": b'{"a":' * 100_000,
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_json_object_of_fields_is_one_sentence(folder, case):
    (folder / "config.json").write_bytes(FILES[case])
    words = "model_type None is not" if case == "byte order mark" else "is not valid JSON"
    with pytest.raises(UserError, match=words) as caught:
        psd_lib.load(folder)
    assert "\n" not in str(caught.value)


LOAD = "import psd_lib, sys; print(psd_lib.load(sys.argv[1]).block_length)"


@pytest.mark.thorough
def test_files_are_utf8_whatever_the_locale(tmp_path):
    """In a process with the locale of plain C, where text is ASCII unless said otherwise."""
    folder = save_checkpoint(tiny_model(0), tmp_path / "tiny")
    edit(folder, {"_name_or_path": "schüler", "note": "数学"})
    text = (folder / "config.json").read_text(encoding="utf-8")
    decoded = json.dumps(json.loads(text), ensure_ascii=False)
    (folder / "config.json").write_text(decoded, encoding="utf-8")
    plain = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, folder], env=plain, capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stdout) == (0, "8\n"), done.stderr


INDICES = {
    "no map": ({}, "lists no weights"),
    "map is a list": ({"weight_map": []}, "weight_map of .* must map tensor names to file names"),
    "file is a number": ({"weight_map": {"a": 5}}, "weight_map of .* must map tensor names"),
    "absent": ({"weight_map": {"a": "b.safetensors"}}, "lists b.safetensors, which is missing"),
}


@pytest.mark.parametrize("case", INDICES)
def test_a_damaged_index_of_shards_is_one_sentence(folder, case):
    (folder / "model.safetensors").unlink()
    edit(folder, INDICES[case][0], INDEX)
    with pytest.raises(UserError, match=INDICES[case][1]):
        psd_lib.load(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_index_without_metadata_loads(tmp_path, family):
    made = tiny_model(0, family=family)
    folder = save_checkpoint(made, tmp_path / "tiny")
    expected = psd_lib.load(folder).denoiser.network.state_dict()
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    edit(folder, {"weight_map": {"a": "model-00001-of-00001.safetensors"}}, INDEX)
    loaded = psd_lib.load(folder).denoiser.network.state_dict()
    assert all((loaded[name] == weight).all() for name, weight in expected.items())
