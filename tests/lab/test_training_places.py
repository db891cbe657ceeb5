"""Training and the files of others: nothing is lost, and bad input is refused before any work."""

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace

import pytest
from torch.multiprocessing import spawn

from psd_lab.training import places, session
from psd_lab.training.network import Shape
from psd_lab.training.places import check_room, clear, locked, replace_checkpoint
from psd_lab.training.recipe import Recipe, Stage
from psd_lab.training.recipes import RECIPES
from psd_lab.training.session import train
from psd_lib.errors import UserError

STAGE = Stage("causal", "next_token", steps=1, warmup=1)
MICRO = Recipe(
    stages=(STAGE,),
    shape=Shape(vocab=320, hidden=16, layers=1, heads=2, head_dim=8, ffn=24),
    tokens=400,
    tokenizer_examples=60,
)


@pytest.fixture(autouse=True)
def micro(monkeypatch):
    monkeypatch.setitem(RECIPES, "micro", MICRO)
    monkeypatch.setitem(RECIPES, "other", MICRO)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folders of a training that has ended."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "micro", MICRO)
        run(folder / "out", folder / "work")
    return folder


def run(out, work, model="micro", **options):
    return train(model, out, work=work, **{"ranks": 1, "device": "cpu", "score_items": 0} | options)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def untrained(monkeypatch):
    """Fail where a test gets as far as training."""
    monkeypatch.setattr(session, "prepare_tokenizer", lambda *_: pytest.fail("trained"))


@pytest.mark.usefixtures("untrained")
def test_a_folder_with_files_of_others_is_refused_and_stays_as_it_is(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("three years")
    for resume in (True, False):
        with pytest.raises(UserError, match=r"out holds thesis.tex, which psd train did not write"):
            run(tmp_path / "out", tmp_path / "work", resume=resume)
    assert contents(tmp_path) == {"out/thesis.tex": b"three years"}


@pytest.mark.usefixtures("untrained")
def test_a_checkpoint_that_someone_else_trained_is_refused(tmp_path, finished):
    shutil.copytree(finished / "out", tmp_path / "out")
    (tmp_path / "out" / "training.json").unlink()
    with pytest.raises(UserError, match=r"config.json and 3 more, which psd train did not write"):
        run(tmp_path / "out", tmp_path / "work")


@pytest.mark.usefixtures("untrained")
def test_a_note_beside_a_checkpoint_of_ours_is_refused(tmp_path, finished):
    shutil.copytree(finished / "out", tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("keep")
    with pytest.raises(UserError, match=r"holds notes\.txt"):
        run(tmp_path / "out", tmp_path / "work")


@pytest.mark.usefixtures("untrained")
def test_a_checkpoint_of_another_model_is_refused(tmp_path, finished):
    shutil.copytree(finished / "out", tmp_path / "out")
    with pytest.raises(UserError, match="holds a trained micro: give another folder for other"):
        run(tmp_path / "out", tmp_path / "work", "other")


@pytest.mark.usefixtures("untrained")
def test_a_file_where_a_folder_should_be_is_refused_and_kept(tmp_path):
    (tmp_path / "file").write_text("data")
    with pytest.raises(UserError, match="file is a file: give a folder"):
        run(tmp_path / "file", tmp_path / "work")
    with pytest.raises(UserError, match="file is a file: give a folder"):
        run(tmp_path / "out", tmp_path / "file")
    with pytest.raises(UserError, match=r"cannot be created \(Not a directory\)"):
        run(tmp_path / "file" / "out", tmp_path / "work")
    assert (tmp_path / "file").read_text() == "data"


@pytest.mark.usefixtures("untrained")
def test_files_of_others_in_the_folder_of_the_state_stay_even_when_starting_anew(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "log.jsonl").write_text("mine")
    (tmp_path / "work" / "photo.jpg").write_text("mine")
    with pytest.raises(UserError, match=r"holds photo.jpg, which psd train did not write"):
        run(tmp_path / "out", tmp_path / "work", resume=False)
    assert set(contents(tmp_path)) == {"work/log.jsonl", "work/photo.jpg"}


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(("out", "work"), [("a", "a"), ("a", "a/b"), ("a/b", "a"), (".", "work")])
def test_folders_inside_one_another_are_refused(tmp_path, monkeypatch, out, work):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="two folders side by side"):
        run(out, work)


def test_the_working_folder_itself_can_hold_the_checkpoint(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run(".", tmp_path / "work") == tmp_path / "here"
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in (tmp_path / "here").iterdir()} == {*names, "training.json"}
    assert {path.name for path in (tmp_path / "work").iterdir()} == {
        "log.jsonl",
        "state.pt",
        "tokenizer",
    }


def test_a_checkpoint_of_this_model_is_replaced_with_its_card(tmp_path, finished):
    shutil.copytree(finished, tmp_path / "copy")
    out = tmp_path / "copy" / "out"
    (out / "README.md").write_text("what an older model scored")
    before = json.loads((out / "training.json").read_text())
    RECIPES["micro"] = replace(MICRO, stages=(replace(STAGE, steps=2),))
    run(out, tmp_path / "copy" / "work", resume=False)
    assert not (out / "README.md").exists()
    assert json.loads((out / "training.json").read_text())["recipe"] != before["recipe"]


@pytest.mark.usefixtures("untrained")
def test_a_second_training_in_either_folder_is_refused_while_the_first_runs(tmp_path):
    for held, free in (("work", "out"), ("out", "work")):
        (tmp_path / held).mkdir(exist_ok=True)
        with locked(tmp_path / held):
            places_ = {held: tmp_path / held, free: tmp_path / f"other {free}"}
            with pytest.raises(UserError, match=rf"process {os.getpid()} on .* is training in"):
                run(places_["out"], places_["work"])


def hold(folder, ready):
    with locked(folder):
        ready.set()
        signal.pause()


def test_the_lock_of_a_killed_process_does_not_count(tmp_path):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=hold, args=(tmp_path, ready))
    process.start()
    assert ready.wait(60)
    with pytest.raises(UserError, match=f"process {process.pid} on"), locked(tmp_path):
        pass
    process.kill()
    process.join()
    assert (tmp_path / places.LOCK).exists()
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_starting_anew_removes_the_old_state_alone(tmp_path):
    for name in ("state.pt", "log.jsonl", "tokenizer/tokenizer.json", "other/file"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    clear(tmp_path)
    assert set(contents(tmp_path)) == {"other/file"}


def test_a_checkpoint_without_its_config_is_never_taken_for_a_whole_one(tmp_path, monkeypatch):
    """Killed at any file, the folder has the old checkpoint, none, or the new one."""
    names = ("config.json", "model.safetensors", "tokenizer.json", "training.json")
    for calls in range(len(names)):
        old, new = tmp_path / f"old{calls}", tmp_path / f"new{calls}"
        for folder in (old, new):
            folder.mkdir()
            for name in names:
                (folder / name).write_text(folder.name)
        moved = []

        def move(source, target, moved=moved, calls=calls):
            if len(moved) == calls:
                raise KeyboardInterrupt
            moved.append(source)
            os.rename(source, target)

        monkeypatch.setattr(places.os, "replace", move)
        with pytest.raises(KeyboardInterrupt):
            replace_checkpoint(new, old)
        assert not (old / "config.json").exists()


@pytest.mark.usefixtures("untrained")
def test_a_folder_that_may_not_be_written_is_refused_before_training(tmp_path, monkeypatch):
    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(places.tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(UserError, match=r"out cannot be written \(Read-only file system\)"):
        run(tmp_path / "out", tmp_path / "work")


def test_a_disk_without_room_is_refused_before_training(tmp_path):
    with pytest.raises(
        UserError, match=r"Training needs 1048576 MiB in .*, where \d+ MiB are free"
    ):
        check_room(tmp_path, 2**40)


def die(_rank, how):
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("how", "sentence"), [("killed", "was killed by SIGKILL"), ("ended", "ended with exit code 3")]
)
def test_a_process_that_ends_is_one_sentence(monkeypatch, how, sentence):
    monkeypatch.setattr(session, "_work", die)
    monkeypatch.setattr(session.mp, "spawn", lambda f, args, nprocs: spawn(f, args[1:], nprocs))
    with pytest.raises(UserError, match=f"a training process {sentence}.*the last checkpoint"):
        session._spawn(2, how)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"model": "huge"}, "no training recipe for 'huge'; there is one for: mini-ar"),
        ({"model": ["mini-ar"]}, "no training recipe for"),
        ({"model": None}, "no training recipe for None"),
        ({"minutes": -1}, "minutes must be a positive number, not -1"),
        ({"minutes": 0}, "minutes must be a positive number, not 0"),
        ({"minutes": float("nan")}, "minutes must be a positive number, not nan"),
        ({"minutes": float("inf")}, "minutes must be a positive number, not inf"),
        ({"minutes": "5"}, "minutes must be a positive number, not '5'"),
        ({"minutes": True}, "minutes must be a positive number, not True"),
        ({"device": "tpu"}, "device must be cpu or cuda, not 'tpu'"),
        ({"device": 0}, "device must be cpu or cuda, not 0"),
        ({"ranks": 0}, "ranks must be 1 or 2, not 0"),
        ({"ranks": 3}, "ranks must be 1 or 2, not 3"),
        ({"ranks": "2"}, "ranks must be 1 or 2, not '2'"),
        ({"score_items": -1}, "score_items must be a whole number of at least 0, not -1"),
        ({"score_items": 1.5}, "score_items must be a whole number of at least 0, not 1.5"),
        ({"out": 7}, "out must be the path of a folder, not 7"),
        ({"out": ""}, "out must be the path of a folder, not ''"),
        ({"work": "a\0b"}, "work must be the path of a folder"),
    ],
)
def test_a_wrong_argument_is_one_sentence(tmp_path, options, sentence):
    usual = {"model": "micro", "out": tmp_path / "out", "work": tmp_path / "work"}
    usual |= {"ranks": 1, "device": "cpu", "score_items": 0}
    with pytest.raises(UserError, match=sentence):
        train(**(usual | options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"objective": "gan"}, "objective of stage 'causal' must be one of next_token"),
        ({"steps": 0}, "steps of stage 'causal' must be a whole number of at least 1, not 0"),
        ({"steps": 1.5}, "steps of stage 'causal' must be a whole number"),
        ({"warmup": 0}, "warmup of stage 'causal' must be a whole number"),
        ({"rate": -0.1}, "rate of stage 'causal' must be above 0, not -0.1"),
        ({"minutes": float("nan")}, "minutes of stage 'causal' must be above 0, not nan"),
        ({"drills": 2}, "drills of stage 'causal' must be between 0 and 1, not 2"),
        ({"windows": "all"}, "windows of stage 'causal' must be between 0 and 1, not 'all'"),
        ({"objective": "block_diffusion"}, "blocks of stage 'causal' must begin at 0"),
        (
            {"objective": "block_diffusion", "blocks": ((0.0, {5: 1.0}),)},
            r"block lengths of stage 'causal' must divide 32, not \[5\]",
        ),
    ],
)
def test_a_wrong_stage_is_one_sentence(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        replace(STAGE, **changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"stages": ()}, "needs at least one stage"),
        ({"tasks": ("mini-gsm", "mini-gsm")}, "must be different ones"),
        ({"tasks": ("gsm8k",)}, "must be among mini-gsm, mini-humaneval, mini-mbpp, not gsm8k"),
        ({"family": "mamba"}, "family of a recipe must be one of .*, not .mamba."),
        ({"tokens": 0}, "tokens of a recipe must be a whole number of at least 1, not 0"),
        (
            {"stages": (replace(STAGE, mixture=(1.0,)),)},
            "mixture of stage 'causal' must have one number for each of mini-gsm",
        ),
    ],
)
def test_a_wrong_recipe_is_one_sentence(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        replace(MICRO, **changes)
