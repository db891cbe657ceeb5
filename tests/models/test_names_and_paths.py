"""What a model is does not depend on how its path was typed, and a guess is said."""

import hashlib
import json
from pathlib import Path

import pytest

import psd_lib
from psd_lib.errors import UserError
from psd_lib.models import fingerprints
from psd_lib.models.hub import locate, name_of
from psd_lib.paths import MODELS
from psd_lib.testing import save_checkpoint, tiny_model


def edit(folder, **changes):
    path = folder / "config.json"
    raw = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(raw), encoding="utf-8")


@pytest.fixture
def early(tmp_path):
    """A folder of an early SDAR upload: only its name says the block length."""
    folder = save_checkpoint(tiny_model(0), tmp_path / "SDAR-1.7B-Chat-b32")
    edit(folder, block_size=None)
    return folder


def ways(folder, tmp_path, monkeypatch):
    """Every way to type the path of a folder."""
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    return [folder, f"{folder}/", ".", "./", f"../{folder.name}", tmp_path / "link", "../link/"]


def test_facts_are_the_same_however_the_path_is_typed(early, tmp_path, monkeypatch, capsys):
    models = [psd_lib.load(path) for path in ways(early, tmp_path, monkeypatch)]
    assert {(m.name, m.block_length) for m in models} == {("SDAR-1.7B-Chat-b32", 32)}
    said = "SDAR-1.7B-Chat-b32: config.json has no block_size; taking 32, from its name.\n"
    assert capsys.readouterr().err == said * len(models)


def test_a_snapshot_in_the_hubs_cache_is_called_as_its_repository(early, tmp_path):
    snapshot = tmp_path / "models--JetLM--SDAR-1.7B-Chat-b8" / "snapshots" / "0123abc"
    snapshot.parent.mkdir(parents=True)
    early.rename(snapshot)
    assert name_of(snapshot) == "SDAR-1.7B-Chat-b8"
    assert psd_lib.load(snapshot).block_length == 8


@pytest.mark.parametrize("field", ["block_size", "bd_size"])
def test_what_the_checkpoint_says_itself_wins_over_its_name(early, capsys, field):
    edit(early, **{field: 16})
    assert psd_lib.load(early).block_length == 16
    assert capsys.readouterr().err == ""


GUESSED = {"sdar": 4, "Fast_dLLM_Qwen": 32, "PanguEmbedded": 32, "llada2_moe": 32}


@pytest.mark.parametrize("family", ["llada", "Dream", "qwen3", *GUESSED])
def test_the_usual_block_length_is_said_where_the_model_was_trained_with_one(
    tmp_path, capsys, family
):
    folder = save_checkpoint(tiny_model(0, family=family), tmp_path / "x-b64x")
    edit(folder, block_size=None)
    length = psd_lib.load(folder).block_length
    said = f"x-b64x: config.json has no block_size; taking {length}, as usual for {family}.\n"
    assert capsys.readouterr().err == (said if family in GUESSED else "")
    assert length == GUESSED.get(family, length)


def test_a_folder_with_a_models_name_does_not_take_it(tmp_path, monkeypatch, capsys):
    save_checkpoint(tiny_model(0), tmp_path / "mini-sdar")
    monkeypatch.chdir(tmp_path)
    assert locate("mini-sdar") == MODELS / "mini-sdar"
    said = capsys.readouterr().err
    assert "mini-sdar is the embedded model; the folder" in said and "give ./mini-sdar" in said
    for path in ("./mini-sdar", Path("mini-sdar"), str(tmp_path / "mini-sdar")):
        assert locate(path).resolve() == tmp_path / "mini-sdar"
    assert capsys.readouterr().err == ""
    monkeypatch.chdir(MODELS)
    assert locate("mini-sdar") == MODELS / "mini-sdar"
    assert capsys.readouterr().err == ""


def test_a_folder_with_a_repositorys_name_is_read_and_that_is_said(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "JetLM" / "SDAR-4B-Chat-b64"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert locate("JetLM/SDAR-4B-Chat-b64").resolve() == folder
    assert f"read from the folder {folder}, not from the Hub" in capsys.readouterr().err


@pytest.mark.parametrize("name", [None, 5, b"mini-sdar", "", " ", ["mini-sdar"]])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(UserError, match="a model is named by a text or a path, got"):
        psd_lib.load(name)


@pytest.mark.parametrize("name", ["..", "x" * 5000, "a\0b", "mini-sdar\n"])
def test_odd_names_are_refused_in_one_sentence(name):
    with pytest.raises(UserError, match=r"no checkpoint|is not a checkpoint"):
        psd_lib.load(name)


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    save_checkpoint(tiny_model(0), tmp_path / "tiny")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert psd_lib.load("~/tiny").name == "tiny"


def test_fingerprints_that_published_rows_carry_stay():
    rows = {"mini-sdar": "mini-sdar", "mini-llada": "mini-llada"}
    for name in rows:
        digest = hashlib.sha256()
        for file in ("config.json", "model.safetensors"):
            content = (MODELS / name / file).read_bytes()
            digest.update(f"{file}:{len(content)};".encode() + content)
        assert fingerprints.fingerprint(MODELS / name) == digest.hexdigest()[:12]


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A folder whose weights count as large, and a cache of its own."""
    monkeypatch.setattr(fingerprints, "LARGE", 100)
    monkeypatch.setattr(fingerprints, "_REMEMBERED", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(bytes(1000))
    return folder


def test_every_byte_of_a_large_file_counts(large):
    before = fingerprints.fingerprint(large)
    content = bytearray(1000)
    content[500] = 1
    (large / "model.safetensors").write_bytes(content)
    assert fingerprints.fingerprint(large) != before


def test_a_large_file_is_read_once(large, monkeypatch):
    """Once in a process, and once in the next, which finds it in the user's cache folder."""
    before = fingerprints.fingerprint(large)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    assert fingerprints.fingerprint(large) == before
    monkeypatch.setattr(fingerprints, "_REMEMBERED", {})
    assert fingerprints.fingerprint(large) == before


@pytest.mark.parametrize("cache", ["{", "[]", None])
def test_a_cache_that_is_damaged_or_cannot_be_written_changes_nothing(large, monkeypatch, cache):
    before = fingerprints.fingerprint(large)
    monkeypatch.setattr(fingerprints, "_REMEMBERED", {})
    file = fingerprints._file()
    if cache is None:
        file.unlink()
        file.parent.rmdir()
        file.parent.write_text("a file where the folder should be", encoding="utf-8")
    else:
        file.write_text(cache, encoding="utf-8")
    assert fingerprints.fingerprint(large) == before
