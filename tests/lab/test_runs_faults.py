"""What a run survives: too little memory, items that crash, judges that fail or change, full disks,
interrupts.
"""

import errno
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import toy

import psd_lib
from psd_lab import paths, tasks
from psd_lab.runs import ExperimentConfig, run
from psd_lab.runs.checkpoints import checkpoint, in_memory
from psd_lab.runs.runner import BackoffState, WorkItem
from psd_lab.runs.store import RunFile, read
from psd_lab.tasks.base import Score
from psd_lib import DecodeConfig
from psd_lib.errors import UserError

ONE = replace(toy.CONFIG, decoders=({"decoder": "greedy"},))


@pytest.fixture
def model(tmp_path, monkeypatch, tiny_model):
    monkeypatch.setattr(paths, "TASKS", paths.TASKS)
    monkeypatch.setitem(tasks._TASKS, "toy", toy.TOY)
    toy.install(tmp_path / "tasks")
    return tiny_model


@pytest.fixture
def decoded(monkeypatch):
    """Let a test decide what one call of `generate` does with a batch before it decodes it; notes
    the batch sizes.
    """
    generate, sizes, before = psd_lib.generate, [], []

    def called(model, prompts, **options):
        for act in before:
            act(prompts)
        sizes.append(len(prompts))
        return generate(model, prompts, **options)

    monkeypatch.setattr(psd_lib, "generate", called)
    return before, sizes


def contents(results):
    return read(next((results / "rows").glob("*/toy")))


def test_too_little_memory_halves_the_batch_for_good_and_changes_no_row(tmp_path, model, decoded):
    whole = run(ONE, 40, tmp_path / "a", loader=lambda name: model)
    before, sizes = decoded
    sizes.clear()

    def limited(prompts):
        if len(prompts) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")

    before.append(limited)
    cut = run(ONE, 40, tmp_path / "b", loader=lambda name: model)
    assert (
        sizes == [4] * 10
    )  # 16 and 8 were tried once each; the last 8 examples came as two batches of 4 too
    kept = ["config_hash", "example_id", "completion", "token_ids_hash", "correct", "nfe", "rows"]
    assert cut[kept].equals(whole[kept])


def poison(prompts, word="w2 w3 w4"):
    if word in prompts:
        raise IndexError("index 7 is\nout of range")


def test_an_item_that_crashes_is_recorded_reported_retried_and_never_a_zero(
    tmp_path, model, decoded, capsys
):
    before, _ = decoded
    before.append(poison)
    frame = run(ONE, 12, tmp_path, loader=lambda name: model)
    missing = {f"toy/{i}" for i in range(12)} - set(frame.example_id)
    prompts = {example.id: example.prompt for example in tasks.get("toy").load("test", 12)}
    assert missing == {name for name, prompt in prompts.items() if prompt == "w2 w3 w4"} != set()
    assert {record["example_id"] for record in frame.attrs["crashes"]} == missing
    assert {record["crash"] for record in frame.attrs["crashes"]} == {
        "IndexError: index 7 is out of range"
    }
    assert all(
        "correct" not in record and record["label"] == "greedy" for record in frame.attrs["crashes"]
    )
    said = capsys.readouterr().err
    assert f"warning: {len(missing)} items could not be decoded" in said
    assert "the next run tries them again" in said
    before.clear()
    again = run(ONE, 12, tmp_path, loader=lambda name: model)
    assert len(again) == 12
    assert again.attrs["crashes"] == []
    assert capsys.readouterr().err == ""


def test_one_crash_after_the_other_stops_the_run(tmp_path, model, decoded):
    before, _ = decoded
    before.append(lambda prompts: 1 / 0)
    with pytest.raises(
        UserError, match=r"5 items in a row could not be decoded with greedy.*ZeroDivisionError"
    ):
        run(ONE, 40, tmp_path, loader=lambda name: model)
    found = contents(tmp_path)
    assert (len(found.rows), len(found.crashes)) == (0, 5)


def test_bad_input_is_no_crash(tmp_path, model):
    long = replace(ONE, options={"gen_length": 10_000})
    with pytest.raises(UserError, match=r"exceeds the model's 256 positions"):
        run(long, 2, tmp_path, loader=lambda name: model)
    found = contents(tmp_path)
    assert not (found.rows or found.unscored or found.crashes)


def test_an_interrupt_loses_the_batch_in_flight_only(tmp_path, model, decoded):
    before, sizes = decoded

    def third(prompts):
        if len(sizes) == 2:
            raise KeyboardInterrupt

    before.append(third)
    with pytest.raises(KeyboardInterrupt):
        run(ONE, 40, tmp_path, loader=lambda name: model)
    assert len(contents(tmp_path).unscored) == 32


def test_rows_whose_judge_failed_are_judged_again_and_not_decoded_again(
    tmp_path, model, decoded, monkeypatch
):
    _, sizes = decoded
    broken = replace(toy.TOY, judge=lambda completion, example: Score(None, None, "infra"))
    monkeypatch.setitem(tasks._TASKS, "toy", broken)
    first = run(ONE, 6, tmp_path, loader=lambda name: model)
    assert first.correct.isna().all()
    monkeypatch.setitem(tasks._TASKS, "toy", toy.TOY)
    calls = len(sizes)
    second = run(ONE, 6, tmp_path, loader=lambda name: model)
    assert len(sizes) == calls
    assert list(second.correct) == ["w5" in text.split() for text in second.completion]
    assert set(second.judged) == {1}
    assert second.token_ids_hash.equals(first.token_ids_hash)
    assert run(ONE, 6, tmp_path, loader=lambda name: model).equals(second)


def test_another_version_of_the_post_processing_judges_again(tmp_path, model, decoded, monkeypatch):
    class Versioned(type(toy.TOY)):
        version = "strip 2"

    run(ONE, 4, tmp_path, loader=lambda name: model)
    newer = Versioned(
        *(getattr(toy.TOY, name) for name in ("name", "description", "gen_length", "judge"))
    )
    monkeypatch.setitem(tasks._TASKS, "toy", newer)
    calls = len(decoded[1])
    frame = run(ONE, 4, tmp_path, loader=lambda name: model)
    assert len(decoded[1]) == calls
    assert set(frame.postprocessing) == {"strip 2"}


def test_a_full_disk_is_one_sentence_and_keeps_what_there_is(tmp_path, model, monkeypatch):
    work = WorkItem(
        in_memory(model),
        tasks.get("toy"),
        "test",
        DecodeConfig.make("greedy", gen_length=12),
        tasks.get("toy").load("test", 4),
    )
    first, second = work.batches(work.missing(read(tmp_path)), size=2)
    with RunFile(tmp_path, {}) as file:
        first.run(file, BackoffState())

        def full(_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("psd_lab.runs.store.os.fsync", full)
        with pytest.raises(UserError, match=r"No space left on device.*rows are kept"):
            second.run(file, BackoffState())
    assert len(read(tmp_path).unscored) >= 2


def test_sampling_does_not_depend_on_the_batch(tmp_path, model, decoded):
    sampled = replace(ONE, options={"temperature": 1.0, "seed": 3})
    whole = run(sampled, 8, tmp_path / "a", loader=lambda name: model)
    first = run(sampled, 3, tmp_path / "b", loader=lambda name: model)
    longer = run(sampled, 8, tmp_path / "b", loader=lambda name: model)
    assert longer.completion.equals(whole.completion)
    assert first.completion.equals(whole.completion[:3])
    assert whole.completion.nunique() > 1


def test_the_cache_called_exact_is_the_fastest_exact_one_of_each_family(tmp_path, model):
    from psd_lib.testing import tiny_model

    config = ExperimentConfig(
        "exact",
        "q",
        ("causal", "bidirectional"),
        ("toy",),
        ({"decoder": "greedy"},),
        {"cache": "exact"},
    )
    models = {"causal": model, "bidirectional": tiny_model(3, sees_future=True)}
    frame = run(config, 2, tmp_path, loader=models.get)
    assert [decode["cache"]["name"] for decode in frame.decode] == ["exact_block"] * 2 + [
        "none"
    ] * 2


def test_weights_replaced_during_a_run_are_noticed_and_a_new_run_loads_the_new_ones(tmp_path):
    from psd_lib.testing import save_checkpoint, tiny_model

    folder = save_checkpoint(tiny_model(0), tmp_path / "model")
    old = checkpoint(str(folder))
    first = old.load()
    assert old.load() is first
    save_checkpoint(tiny_model(1), folder)
    new = checkpoint(str(folder))
    assert new.fingerprint != old.fingerprint
    second = new.load()
    assert second.fingerprint == new.fingerprint
    weights = [next(model.denoiser.network.parameters()) for model in (first, second)]
    assert not torch.equal(*weights)
    with pytest.raises(UserError, match=r"the files of .* were replaced during this run"):
        old.load()


def test_a_store_that_cannot_be_written_serves_what_it_has(tmp_path, model, monkeypatch):
    whole = run(ONE, 6, tmp_path, loader=lambda name: model)

    def refused(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("psd_lab.runs.store.Path.mkdir", refused)
    monkeypatch.setattr("psd_lab.runs.store.Path.open", read_only(Path.open))
    assert run(ONE, 6, tmp_path, loader=lambda name: model).equals(whole)
    with pytest.raises(UserError, match=r"cannot be created \(Read-only file system\)"):
        run(ONE, 7, tmp_path, loader=lambda name: model)


def read_only(open_file):
    def opened(path, mode="r", *arguments, **options):
        if set(mode) & set("wxa+"):
            raise OSError(errno.EROFS, "Read-only file system")
        return open_file(path, mode, *arguments, **options)

    return opened
