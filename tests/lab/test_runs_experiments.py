"""Decoding what is missing: complete, resumable, killable, equal to decoding alone."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support import toy

import psd_lib
from psd_lab import paths, tasks
from psd_lab.runs import ExperimentConfig, Tier, experiment, run
from psd_lab.runs.checkpoints import checkpoint, in_memory
from psd_lab.runs.config import digest
from psd_lab.runs.experiments import collect
from psd_lab.runs.rows import judged
from psd_lab.runs.runner import WorkItem, verdict_rows
from psd_lab.runs.store import read
from psd_lib import DecodeConfig
from psd_lib.errors import UserError

FIELDS = [
    "version",
    "config_hash",
    "model",
    "model_fingerprint",
    "model_family",
    "dtype",
    "task",
    "split",
    "data_hash",
    "profile",
    "postprocessing",
    "decoder",
    "label",
    "decode",
    "exact",
    "example_id",
    "completion",
    "tokens",
    "token_ids_hash",
    "correct",
    "answer",
    "reason",
    "nfe",
    "rows",
    "query_tokens",
    "second_nfe",
    "second_query_tokens",
    "model_ms",
    "loop_ms",
    "stopped",
    "step_stats",
    "provenance",
]


@pytest.fixture
def toy_task(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "TASKS", paths.TASKS)
    monkeypatch.setitem(tasks._TASKS, "toy", toy.TOY)
    toy.install(tmp_path / "tasks")
    return tasks.get("toy")


def rows_folder(results):
    return next((results / "rows").glob("*/toy"))


def test_rows_are_what_decoding_alone_gives(tmp_path, toy_task, tiny_model):
    frame = run(toy.CONFIG, 20, tmp_path, loader=lambda name: tiny_model)
    assert list(frame.columns) == FIELDS
    assert len(frame) == 3 * 20
    assert (
        frame.groupby("label")
        .example_id.apply(list)
        .map(lambda ids: ids == [f"toy/{i}" for i in range(20)])
        .all()
    )
    examples = {example.id: example for example in toy_task.load("test", 20)}
    for one in frame[frame.example_id.isin(["toy/0", "toy/13"])].to_dict("records"):
        options = (
            {"decoder": "greedy"}
            if one["decoder"] == "greedy"
            else {"threshold": 0.5, "depth": one["decode"]["builder"].get("depth", 0)}
        )
        alone = psd_lib.generate(
            tiny_model, examples[one["example_id"]].prompt, gen_length=12, **options
        )[0]
        assert (one["completion"], one["tokens"], one["nfe"]) == (
            alone.text,
            alone.n_tokens,
            alone.nfe,
        )
        assert one["token_ids_hash"] == digest(alone.tokens)
        assert sum(one["step_stats"]["committed"]) >= alone.n_tokens
        assert one["correct"] == ("w5" in alone.text.split())
    assert set(frame.provenance) == set(frame.attrs["provenance"])
    assert frame.attrs["conflicts"] == 0


def test_a_second_run_decodes_nothing_and_a_longer_one_only_the_rest(
    tmp_path, toy_task, tiny_model, monkeypatch
):
    first = run(toy.CONFIG, 5, tmp_path, loader=lambda name: tiny_model)
    asked = []
    generate = psd_lib.generate
    monkeypatch.setattr(
        psd_lib,
        "generate",
        lambda model, prompts, **o: asked.extend(prompts) or generate(model, prompts, **o),
    )
    again = run(toy.CONFIG, 5, tmp_path, loader=lambda name: tiny_model)
    assert not asked
    assert again.equals(first)
    longer = run(toy.CONFIG, 8, tmp_path, loader=lambda name: tiny_model)
    assert len(asked) == 3 * 3
    assert len(longer) == 3 * 8


def test_another_model_or_other_data_decodes_anew(tmp_path, toy_task, tiny_model):
    from psd_lib.testing import tiny_model as make

    first = run(toy.CONFIG, 3, tmp_path, loader=lambda name: tiny_model)
    other = run(toy.CONFIG, 3, tmp_path, loader=lambda name: make(seed=1))
    toy.install(tmp_path / "tasks", items=41)
    changed = run(toy.CONFIG, 3, tmp_path, loader=lambda name: tiny_model)
    hashes = [set(frame.config_hash) for frame in (first, other, changed)]
    assert not (hashes[0] & hashes[1] or hashes[0] & hashes[2])


def test_another_judge_or_draft_model_of_the_same_name_is_another_config(
    tmp_path, toy_task, tiny_model
):
    folder = tmp_path / "second"
    shutil.copytree(paths.MODELS / "mini-ar", folder)
    examples = toy_task.load("test", 2)

    def named(decoder, **options):
        return WorkItem(
            in_memory(tiny_model), toy_task, "test", DecodeConfig.make(decoder, **options), examples
        )

    chosen = {"apd": {"judge": str(folder)}, "simsd": {"draft": str(folder)}, "greedy": {}}
    before = {decoder: named(decoder, **options) for decoder, options in chosen.items()}
    assert (
        before["apd"].describe()["second_fingerprint"]
        == before["simsd"].second
        == checkpoint(str(folder)).fingerprint
    )
    hashes = {decoder: item.hash for decoder, item in before.items()}
    shutil.copy(paths.MODELS / "mini-sdar" / "model.safetensors", folder / "model.safetensors")
    after = {decoder: named(decoder, **options).hash for decoder, options in chosen.items()}
    assert {decoder for decoder in chosen if after[decoder] == hashes[decoder]} == {"greedy"}


@pytest.mark.thorough
def test_a_killed_run_resumes_and_keeps_every_row_it_had(tmp_path, toy_task, tiny_model):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(toy.__file__).parent), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen([sys.executable, toy.__file__, str(tmp_path)], env=environment)
    results = tmp_path / "results"
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        files = list(results.glob("rows/*/toy/*.jsonl"))
        if files and files[0].read_bytes().count(b"\n") > 20:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (file,) = results.glob("rows/*/toy/*.jsonl")
    found = read(file.parent)
    survived = found.rows | found.unscored
    assert 16 <= len(survived) < 3 * 40
    with file.open("ab") as torn:  # what a kill inside a write leaves behind
        torn.write(b'{"config_hash":"torn')
    frame = run(toy.CONFIG, 40, results, loader=lambda name: tiny_model)
    assert len(frame) == 3 * 40
    after = read(file.parent).rows
    assert all(row.items() <= after[key].items() for key, row in survived.items())
    fresh = [path for path in file.parent.iterdir() if path != file]
    assert len(fresh) == 1
    assert fresh[0].read_bytes().count(b'"completion"') == 3 * 40 - len(survived)


def test_damage_stops_the_run_before_it_decodes_and_deletes_nothing(tmp_path, toy_task, tiny_model):
    run(toy.CONFIG, 3, tmp_path, loader=lambda name: tiny_model)
    (file,) = rows_folder(tmp_path).iterdir()
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1][:-9], *lines[2:]]) + "\n")
    before = file.read_bytes()
    with pytest.raises(UserError, match=r"line 2 is not a result row"):
        run(toy.CONFIG, 4, tmp_path, loader=lambda name: tiny_model)
    assert [path.read_bytes() for path in rows_folder(tmp_path).iterdir()] == [before]


def test_scores_are_a_function_of_rows(tmp_path, toy_task, tiny_model):
    rows = list(
        collect(toy.CONFIG, Tier("toy", 6), tmp_path, loader=lambda name: tiny_model).rows.values()
    )
    verdicts = verdict_rows(rows, toy_task, toy_task.load("test"))
    again = [judged(row, verdict) for row, verdict in zip(rows, verdicts, strict=True)]
    assert again == [row | {"judged": 1} for row in rows]


def test_calls_of_a_second_model_are_in_the_rows(tmp_path, toy_task, tiny_model):
    from psd_lib.testing import save_checkpoint
    from psd_lib.testing import tiny_model as make

    judge = save_checkpoint(make(1, block_length=1, family="qwen3"), tmp_path / "judge")
    config = replace(
        toy.CONFIG, decoders=({"decoder": "greedy"}, {"decoder": "apd", "judge": str(judge)})
    )
    frame = run(config, 3, tmp_path, loader=lambda name: tiny_model)
    alone, judged = frame[frame.decoder == "greedy"], frame[frame.decoder == "apd"]
    assert list(alone.second_nfe) == list(alone.second_query_tokens) == [0] * 3
    assert (
        list(judged.second_nfe) == list(judged.nfe)
        and (judged.second_query_tokens > judged.second_nfe).all()
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tasks": ("maths",)}, "maths"),
        ({"decoders": ({"decoder": "spiffi"},)}, "unknown decoder 'spiffi'"),
        ({"decoders": ({"decoder": "psd", "policy": "entropic"},)}, "unknown policy 'entropic'"),
        (
            {"decoders": ({"decoder": "psd", "threshold": 1.5},)},
            "threshold must be a number between 0 and 1",
        ),
        (
            {"decoders": ({"decoder": "psd", "depth": -1},)},
            "depth must be a whole number of at least 0",
        ),
        ({"decoders": ({"decoder": "greedy", "treshold": 1},)}, "'treshold'"),
        ({"split": "exam"}, "exam"),
    ],
)
def test_bad_experiments_are_refused_before_anything_is_written(
    tmp_path, toy_task, tiny_model, change, sentence
):
    config = ExperimentConfig(**{**toy.CONFIG.__dict__, **change})
    with pytest.raises(UserError, match=sentence):
        run(config, 3, tmp_path / "results", loader=lambda name: tiny_model)
    assert not (tmp_path / "results").exists()


def test_an_id_twice_in_a_task_file_is_refused_before_anything_is_written(
    tmp_path, toy_task, tiny_model
):
    path = tmp_path / "tasks" / "toy" / "test.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], lines[0], *lines[2:]]), encoding="utf-8")
    with pytest.raises(UserError, match=r"test.jsonl has the id 'toy/0' twice"):
        run(toy.CONFIG, 3, tmp_path / "results", loader=lambda name: tiny_model)
    assert not (tmp_path / "results").exists()


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match=r"Unknown experiment"):
        experiment("none")
    with pytest.raises(UserError, match=r"Unknown tier"):
        experiment("spatial", tier="none")
