"""Executing notebooks: refused parameters, clean copies, failures that say where."""

import errno
import json
import os
import signal
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from psd_lab import paths
from psd_lab.runs import Tier, notebooks
from psd_lab.runs import reproduce as job
from psd_lab.runs.parallel import spread
from psd_lib.errors import UserError

PARAMETERS = (
    'TIER: str = "smoke"\nN: int = 3\nSHARE: float = 0.5\nFAST: bool = True\nMANY: list[int] ='
    " [1]\nLOOSE = 1"
)


def notebook(folder, *cells, name="10_one", experiments=None):
    path = folder / f"{name}.ipynb"
    found = [
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        *[new_code_cell(cell) for cell in cells],
    ]
    book = new_notebook(
        cells=found, metadata={"kernelspec": notebooks.KERNEL, "language_info": {"name": "python"}}
    )
    if experiments is not None:
        book.metadata["psd"] = {"experiments": experiments}
    nbformat.write(book, path)
    return path


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"TEIR": "mini"}, "10_one.ipynb has no parameter 'TEIR': it takes TIER, N, SHARE"),
        ({"TIER": 3}, "TIER of 10_one.ipynb must be str, not 3"),
        ({"N": "many"}, "N of 10_one.ipynb must be int, not 'many'"),
        ({"N": 1.5}, "must be int, not 1.5"),
        ({"N": True}, "must be int, not True"),
        ({"FAST": 1}, "must be bool, not 1"),
        ({"MANY": 1}, "must be list, not 1"),
        ({"SHARE": None}, "must be float, not None"),
        ({"LOOSE": 1}, "10_one.ipynb must declare LOOSE as `LOOSE: type = default`"),
    ],
)
def test_misspelt_and_mistyped_parameters_are_refused(tmp_path, parameters, sentence):
    path = notebook(tmp_path)
    with pytest.raises(UserError) as error:
        notebooks.check(path, parameters)
    assert sentence in str(error.value)


def test_declared_parameters_of_their_type_are_accepted(tmp_path):
    notebooks.check(
        notebook(tmp_path), {"TIER": "mini", "N": 4, "SHARE": 1, "FAST": False, "MANY": [2]}
    )


def test_notebooks_are_found_by_name_in_order(tmp_path):
    for name in ("40_b", "00_a", "20_c"):
        notebook(tmp_path, name=name)
    assert [path.stem for path in notebooks.find("*", tmp_path)] == ["00_a", "20_c", "40_b"]
    for pattern in ("20_c", "20*", "20", "20_c.ipynb", "_c"):
        assert [path.stem for path in notebooks.find(pattern, tmp_path)] == ["20_c"]
    with pytest.raises(UserError, match=r"No notebook matches '7': use 00_a, 20_c, 40_b"):
        notebooks.find("7", tmp_path)


def test_an_executed_copy_has_results_and_nothing_of_the_machine(tmp_path):
    cell = (
        "from pathlib import Path\nfrom psd_lab import paths\nfrom psd_lab.progress import"
        " progress\n"
    )
    cell += (
        "for _ in progress(range(3), label='work'): pass\nprint(N, Path.cwd().name, paths.ROOT /"
        " 'figures')"
    )
    output, lines = tmp_path / "out" / "10_one.ipynb", []
    before = dict(os.environ)
    notebooks.execute(notebook(tmp_path, cell), output, {"N": 7}, lines.append)
    assert dict(os.environ) == before
    book = nbformat.read(output, as_version=4)
    (printed,) = book.cells[-1].outputs
    assert printed.text == f"7 {tmp_path.name} figures\n"
    assert [cell.execution_count for cell in book.cells] == [1, 2, 3]
    assert [line.split(",")[0] for line in lines] == ["work: 1/3", "work: 2/3", "work: 3/3"]
    text = output.read_text()
    assert str(paths.ROOT) not in text
    assert "papermill" not in text
    assert list(output.parent.iterdir()) == [output]


def test_a_failing_cell_is_one_sentence_and_leaves_the_last_good_copy(tmp_path):
    output = tmp_path / "out" / "10_one.ipynb"
    notebooks.execute(notebook(tmp_path, "print(1)"), output, {}, print)
    good = output.read_text()
    with pytest.raises(
        UserError,
        match=r"10_one.ipynb failed with KeyError: 'lost'; the traceback is in .*failed.ipynb",
    ):
        notebooks.execute(notebook(tmp_path, "{}['lost']"), output, {}, print)
    assert output.read_text() == good
    assert "Traceback" in output.with_suffix(".failed.ipynb").read_text()


def test_notebooks_run_with_this_interpreter_whatever_jupyter_calls_python3(tmp_path, monkeypatch):
    other = tmp_path / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    spec = {"argv": ["false"], "display_name": "Python 3", "language": "python"}
    (other / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    output = tmp_path / "out" / "10_one.ipynb"
    notebooks.execute(notebook(tmp_path, "import sys; print(sys.executable)"), output, {}, print)
    (printed,) = nbformat.read(output, as_version=4).cells[-1].outputs
    assert printed.text == sys.executable.replace(f"{paths.ROOT}/", "") + "\n"


def test_a_kernel_that_dies_is_one_sentence(tmp_path):
    path = notebook(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(
        UserError, match=r"The kernel of 10_one.ipynb ended before the notebook did"
    ):
        notebooks.execute(path, tmp_path / "out" / "10_one.ipynb", {}, print)
    assert not (tmp_path / "out").exists()


def test_what_a_killed_run_left_is_not_a_notebook(tmp_path):
    notebook(tmp_path)
    notebook(tmp_path, name=".20_two")
    assert [path.name for path in notebooks.find("*", tmp_path)] == ["10_one.ipynb"]


def test_a_machine_path_with_other_letters_is_removed_too(tmp_path, monkeypatch):
    home = tmp_path / "schüler"
    monkeypatch.setattr(notebooks, "ROOT", home)
    book = nbformat.read(notebook(tmp_path, f"print('{home}/figures')"), as_version=4)
    assert "print('figures')" in notebooks.cleaned(book)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"cells": 1, "nbformat": 4}', "no json"])
def test_a_damaged_notebook_is_one_sentence(tmp_path, content):
    path = tmp_path / "10_one.ipynb"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"10_one.ipynb is not a notebook .*: restore it"):
        notebooks.check(path, {})


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr("psd_lab.extras.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'psd-lib\[notebooks\]'"):
        notebooks.execute(notebook(tmp_path), tmp_path / "out.ipynb", {}, print)


def test_experiments_are_those_that_the_notebooks_declare(tmp_path):
    one = notebook(tmp_path, '"combined"', experiments=["temporal", "spatial"])
    none = notebook(tmp_path, name="20_two")
    assert [config.name for config in job.experiments_of(Tier.load("mini"), [one, none])] == [
        "spatial",
        "temporal",
    ]
    for wrong, sentence in (
        (["spatail"], "10_one.ipynb declares an unknown experiment 'spatail': use one of"),
        ("spatial", "metadata of 10_one.ipynb must declare its experiments as"),
    ):
        with pytest.raises(UserError, match=sentence):
            job.experiments_of(Tier.load("mini"), [notebook(tmp_path, experiments=wrong)])


@pytest.mark.thorough
def test_two_notebooks_run_at_once_in_single_threaded_processes_and_report_what_they_do(
    tmp_path, capfd, monkeypatch
):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    cell = (
        "import os\nfrom psd_lab.progress import progress\nfor _ in progress(range(1), label=f'work"
        " {N}'): pass\n"
    )
    calls = []
    for n in (1, 2):
        path = notebook(
            tmp_path, cell + "print(N, os.environ['OMP_NUM_THREADS'])", name=f"{n}0_one"
        )
        calls.append((path, tmp_path / "out" / path.name, {"N": n}))
    before = dict(os.environ)
    spread(notebooks.execute, calls, 2, "notebooks")
    assert dict(os.environ) == before
    printed = [
        nbformat.read(output, as_version=4).cells[-1].outputs[0].text for _, output, _ in calls
    ]
    assert printed == ["1 1\n", "2 1\n"]
    said = capfd.readouterr().err
    assert "work 1: 1/1" in said and "work 2: 1/1" in said


@pytest.mark.thorough
def test_a_failing_notebook_among_several_is_one_sentence(tmp_path):
    calls = [
        (notebook(tmp_path, "{}['lost']", name="10_one"), tmp_path / "out" / "10_one.ipynb", {})
    ]
    calls.append(
        (notebook(tmp_path, "print(1)", name="20_two"), tmp_path / "out" / "20_two.ipynb", {})
    )
    with pytest.raises(UserError, match=r"10_one.ipynb failed with KeyError: 'lost'"):
        spread(notebooks.execute, calls, 2, "notebooks")


def test_the_job_refuses_before_it_runs_anything(tmp_path, monkeypatch):
    notebook(tmp_path, "print(1)")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    for arguments, sentence in [
        ({"tier": "smoke", "pattern": "99"}, "No notebook matches"),
        ({"tier": "smoke", "parameters": {"M": 1}}, "no parameter 'M'"),
        ({"tier": "mini", "in_place": True}, "keeps outputs of TIER"),
    ]:
        with pytest.raises(UserError, match=sentence):
            job.reproduce(**{**arguments, "tier": Tier.load(arguments["tier"])})
    assert not (tmp_path / "results").exists()


def test_the_job_leaves_sources_alone_unless_told_to_refresh_them(tmp_path, monkeypatch):
    path = notebook(tmp_path, "print(TIER, N)")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    source = path.read_text()
    job.reproduce(Tier.load("smoke").narrow(limit=2), parameters={"N": 5})
    copy = tmp_path / "results" / "smoke:2" / "notebooks" / path.name
    assert path.read_text() == source
    assert nbformat.read(copy, as_version=4).cells[-1].outputs[0].text == "smoke:2 5\n"
    monkeypatch.setattr(job, "publish_tier", lambda tier, before: [f"published {tier.name}"])
    assert job.reproduce(Tier.load("smoke"), in_place=True)[-1] == "published smoke"
    first = path.read_text()
    assert nbformat.read(path, as_version=4).cells[-1].outputs[0].text == "smoke 3\n"
    job.reproduce(Tier.load("smoke"), in_place=True)
    assert path.read_text() == first


def test_a_notebook_that_fails_in_place_stays_as_it_was_and_its_copy_is_not_among_the_notebooks(
    tmp_path, monkeypatch
):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    path = notebook(folder, "{}['lost']")
    source = path.read_text(encoding="utf-8")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", folder)
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    with pytest.raises(UserError, match=r"failed with KeyError: 'lost'"):
        job.reproduce(Tier.load("smoke"), in_place=True)
    assert path.read_text(encoding="utf-8") == source
    assert list(folder.iterdir()) == [path]
    failed = tmp_path / "results" / "smoke" / "notebooks" / "10_one.failed.ipynb"
    assert "Traceback" in failed.read_text(encoding="utf-8")


def test_a_comparison_counts_equal_completions():
    rows = {("c", str(i)): {"token_ids_hash": str(i)} for i in range(4)}
    before = {("c", "0"): "0", ("c", "1"): "other", ("d", "0"): "0"}
    assert job.compare(rows, before).startswith("1 of 2 completions")
    assert job.compare(rows, {}).startswith("no row was published before")


def test_a_damaged_published_file_is_found_before_anything_is_run(tmp_path, monkeypatch):
    notebook(tmp_path, "1 / 0")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    published = tmp_path / "results" / "mini" / job.PUBLISHED
    published.parent.mkdir(parents=True)
    published.write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"rows.jsonl.gz is damaged .*, or delete it"):
        job.reproduce(Tier.load("smoke"))
    assert not (tmp_path / "results" / "smoke").exists()


def test_a_run_ends_on_sigterm_as_on_an_interrupt(tmp_path, monkeypatch):
    notebook(tmp_path, "print(1)")
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(job, "decode", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        job.reproduce(Tier.load("smoke"))


def test_a_full_disk_at_a_notebook_is_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path, output = notebook(tmp_path, "print(1)"), tmp_path / "out" / "10_one.ipynb"
    for place in ("psd_lab.runs.notebooks._run", "psd_lab.files.os.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises(UserError, match=r"10_one.ipynb cannot be written \(No space left"):
                notebooks.execute(path, output, {}, print)
        assert not output.exists()
