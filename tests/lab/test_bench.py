"""The benchmark program: what it prints and what it refuses, not how fast anything is."""

import json

import pytest

from psd_lab import bench, cli
from psd_lib.errors import UserError
from psd_lib.testing import tiny_model


def test_the_last_line_is_json_with_a_ratio_to_greedy_per_decoder(monkeypatch, capsys):
    monkeypatch.setattr(bench, "load", lambda name: tiny_model(0))
    monkeypatch.setattr(bench, "prompts_of", lambda task, items: ([[3, 4, 5]] * items, 16))
    assert cli.main(["bench", "--items", "2", "--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    document = json.loads(lines[-1])
    assert [row["decoder"] for row in document["rows"]] == list(bench.DECODERS)
    assert document["rows"][0]["time_to_greedy"] == 1.0
    assert all(0 < row["loop_share"] < 1 and row["tpf"] > 0 for row in document["rows"])
    assert len(lines) == len(bench.DECODERS) + 2
    assert lines[1].split()[:2] == ["greedy", f"{document['rows'][0]['total_ms']:.3f}"]


def test_a_task_with_fewer_items_says_how_many():
    assert len(bench.prompts_of("mini-gsm", 200)[0]) == 200
    with pytest.raises(UserError, match="mini-gsm has 200 validation items"):
        bench.prompts_of("mini-gsm", 201)


@pytest.mark.parametrize("option", ["--items", "--batch-size", "--repeats"])
def test_zero_is_refused(option, capsys):
    assert cli.main(["bench", option, "0"]) == 2
    assert "must be a whole number of at least 1" in capsys.readouterr().err
