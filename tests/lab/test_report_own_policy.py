"""A policy of the user's own, as the notebook defines it, in rows, tables and figures."""

import nbformat
import pytest
from support import toy

import psd_lib
from psd_lab import paths, tasks
from psd_lab.report import catalog, figures, methods, tables
from psd_lab.report import rows as rows_of
from psd_lab.report.identity import Family
from psd_lab.runs import ExperimentConfig, run
from psd_lib import DECODERS, POLICIES


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """What the notebook's own cells define; the registration ends with the test, and the toy task
    is one.
    """
    monkeypatch.setattr(paths, "TASKS", paths.TASKS)
    monkeypatch.setitem(tasks._TASKS, "toy", toy.TOY)
    toy.install(tmp_path / "tasks")
    before = [(known, dict(known)) for known in (DECODERS, POLICIES)]
    book = nbformat.read(paths.NOTEBOOKS / "70_your_own_policy.ipynb", as_version=4)
    found = {"__name__": __name__}
    for cell in book.cells:
        if cell.id in ("policy", "decoders"):
            exec(cell.source, found)
    yield found
    catalog.forget()
    for known, kept in before:
        known.clear()
        known.update(kept)


def decode(cells, tmp_path, tiny_model):
    config = ExperimentConfig(
        "near_best", "Why?", ("tiny",), ("toy",), tuple(cells["decoders"]), {"cache": "exact"}
    )
    return run(config, 4, tmp_path, loader=lambda name: tiny_model)


def test_ten_lines_make_a_policy(cells):
    book = nbformat.read(paths.NOTEBOOKS / "70_your_own_policy.ipynb", as_version=4)
    (cell,) = [cell for cell in book.cells if cell.id == "policy"]
    lines = [
        line
        for line in cell.source.splitlines()
        if line and not line.startswith(("from", "import"))
    ]
    assert len(lines) <= 10 and "near_best" in POLICIES


def test_it_stands_in_tables_and_figures_by_its_name(cells, tmp_path, tiny_model):
    frame = rows_of.prepare(decode(cells, tmp_path, tiny_model))
    shown = tables.main(frame, "t", "Title.").shown.set_index("decoder")
    wanted = [
        "near_best 0.7",
        "near_best 0.8",
        "near_best 0.9",
        "psd(near_best 0.7, d=3)",
        "psd(near_best 0.9, d=3)",
    ]
    assert [label for label in wanted if label not in shown.index] == []
    assert [shown.loc[label, "same output"] for label in wanted] == ["-"] * 3 + ["4/4"] * 2
    data = figures.pareto(frame, "t", "Title.").data
    assert {"near_best", "PSD (near_best)"} <= set(map(str, data.family))
    assert set(data[data.family == Family("near_best")].point) == {"0.7", "0.8", "0.9"}
    plugs = methods.table(frame, "t", "Title.").shown.set_index("method")
    assert list(plugs.loc["PSD (near_best)", ["policy", "drafts", "acceptor"]]) == [
        "near_best",
        "chain",
        "replay",
    ]
    assert frame.find(decoder="psd", policy="near_best", share=0.7).depth == 3


def test_its_rows_are_kept_and_are_read_without_it(cells, tmp_path, tiny_model, monkeypatch):
    first = decode(cells, tmp_path, tiny_model)
    monkeypatch.setattr(psd_lib, "generate", None)
    again = decode(cells, tmp_path, tiny_model)
    assert again.equals(first)
    for known in (DECODERS, POLICIES):
        known.pop("near_best")
    frame = rows_of.prepare(again)
    assert (
        "PSD (near_best)" in set(map(str, frame.frame.family))
        and tables.exactness(frame, "t", "Title.").shown.iloc[-1]["same output as its policy"]
        == "4/4"
    )
