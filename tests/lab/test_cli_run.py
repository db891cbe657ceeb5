"""The commands for runs on many processes and machines, one after the other on a small plan."""

import pytest

from psd_lab.cli import main


def psd(capsys, *arguments):
    code = main([str(one) for one in arguments])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


@pytest.mark.thorough
def test_a_plan_is_run_in_parts_on_two_machines_and_brought_together(tmp_path, capsys):
    run, here, there = tmp_path / "run", tmp_path / "here", tmp_path / "there"
    models = ("--tier", "smoke:1", "--models", "mini-sdar", "--tasks", "mini-gsm")
    code, text = psd(capsys, "plan", run, *models)
    assert code == 0
    shards = int(text.split()[0])
    assert f"{shards} shards of {shards} rows in {run / 'plan.json'}" in text
    code, text = psd(capsys, "status", run, "--results", here)
    assert text.endswith(f"incomplete: 0 of {shards} rows, no process is at it\n")
    for results, part in ((here, f"1/{shards}"), (there, f"2/{shards}")):
        code, text = psd(capsys, "run-shard", run, part, "--results", results)
        assert (code, text.splitlines()[-1]) == (0, "complete: 1 of 1 rows")
    code, text = psd(capsys, "merge", there, "--results", here)
    assert (code, text.startswith("1 of 1 row files were new")) == (0, True)
    code, text = psd(capsys, "status", run, "--results", here)
    assert f"incomplete: 2 of {shards} rows" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("status", "none"), "There is no plan none/plan.json: make one first."),
        (("run", "none"), "There is no plan none/plan.json: make one first."),
        (("run-shard", "none", "1"), "'1' is not a part: write I/N, such as 3/8."),
        (("run-shard", "none", "0/0"), "There is no plan none/plan.json"),
        (("merge", "none"), "none has no rows: give a results folder"),
        (("plan", "none", "--tier", "tiny"), "Unknown tier 'tiny'"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    code, text = psd(capsys, *arguments)
    assert (code, text.count("\n")) == (2, 1)
    assert sentence in text
    assert not list(tmp_path.iterdir())
