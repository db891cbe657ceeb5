import json

import pytest
from support.report_rows import two_models
from support.toy import row as whole_row

from psd_lab import paths
from psd_lab.report import readme
from psd_lab.runs import store
from psd_lib.errors import UserError

WHOLE = "".join(
    f"a\n<!-- begin: {name} -->\nSTALE TEXT\n<!-- end: {name} -->\nb\n" for name in readme.SECTIONS
)


@pytest.mark.thorough
def test_the_readme_is_not_older_than_the_results():
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    assert text == readme.fill(text), "run `python -m psd_lab.report.readme` and commit README.md"


def test_sections_are_replaced_and_the_rest_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("psd_lab.paths.RESULTS", tmp_path)  # reading the published rows takes long
    filled = readme.fill(WHOLE)
    assert "STALE TEXT" not in filled and filled.count("a\n<!--") == filled.count(
        "-->\nb\n"
    ) == len(readme.SECTIONS)
    assert readme.fill(filled) == filled


def test_results_come_from_the_files_of_the_cited_tier(tmp_path, monkeypatch):
    monkeypatch.setattr("psd_lab.paths.RESULTS", tmp_path)
    assert "No results of tier `published`" in readme.results()
    (tmp_path / "published" / "tables").mkdir(parents=True)
    (tmp_path / "published" / "tables" / "40_headline.md").write_text("| a |\n| --- |\n| 1 |\n")
    assert readme.results() == "| a |\n| --- |\n| 1 |"


def test_the_size_and_cost_of_a_run_come_from_its_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("psd_lab.paths.RESULTS", tmp_path)
    assert readme.cost() == ""
    runs = {
        "p": {
            "commit": "0123456789abcdef",
            "dirty": False,
            "gpu": None,
            "cpu": "Some CPU",
            "threads": 2,
        }
    }
    rows = [
        {**whole_row(), **row, "provenance": "p", "model_ms": 60_000.0, "loop_ms": 0.0}
        for row in two_models().to_dict("records")
    ]
    store.publish(tmp_path / "published" / "rows.jsonl.gz", rows, runs)
    assert (
        readme.cost()
        == "The run behind every number here (`psd reproduce --tier published`): 2 models, 1 tasks,"
        " 4 items of each task per decoder, 6 decoders, 48 decoded answers in 48 minutes of"
        " decoding on Some CPU, 2 threads; code at commit 0123456789."
    )


def test_missing_and_unknown_sections_are_refused():
    with pytest.raises(UserError, match="one marked section each"):
        readme.fill(WHOLE.replace("results", "prices"))
    with pytest.raises(UserError, match="found none"):
        readme.fill("no markers")


def test_the_index_names_every_notebook():
    index = readme.notebooks()
    for path in paths.NOTEBOOKS.glob("*.ipynb"):
        assert f"[{path.stem}](notebooks/{path.name})" in index


def test_a_notebook_without_a_question_is_refused(tmp_path):
    path = tmp_path / "50_more.ipynb"
    path.write_text(json.dumps({"cells": [{"source": ["# Title\n", "no question"]}]}))
    with pytest.raises(UserError, match=r"50_more.ipynb must hold"):
        readme.introduction(path)
