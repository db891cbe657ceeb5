"""What every committed notebook must be; nbval runs them, these tests read them."""

import ast
import re

import nbformat
import pytest

from psd_lab import paths

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
MACHINE = re.compile(r"(?<![\w/.])/(home|root|work|tmp|Users|usr|opt|var)/\w")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_papers_experiments_are_found_by_name():
    names = [path.stem for path in NOTEBOOKS]
    assert {
        "00_environment",
        "10_confidence_scoring",
        "20_spatial_only",
        "30_temporal_only",
        "40_combined_psd",
        "60_comparison",
        "70_your_own_policy",
        "90_claims_table",
    } <= set(names)


def test_format_kernel_and_ids(notebook):
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec["name"] == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info", "psd"}
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_the_experiments_whose_rows_are_used_are_declared(notebook):
    tree = ast.parse("\n".join(cell.source for cell in code(notebook)))
    lists = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)
        if isinstance(node.targets[0], ast.Name)
    }
    used = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("runs.experiment", "rows.of"):
            for argument in node.args:
                whole = lists[argument.value.id] if isinstance(argument, ast.Starred) else argument
                names = ast.literal_eval(whole)
                used |= {names} if isinstance(names, str) else {*names}
    assert sorted(notebook.metadata.psd["experiments"]) == sorted(used)


def test_parameters_are_typed_and_default_to_smoke(notebook):
    cells = [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert len(cells) == 1
    body = ast.parse(cells[0].source).body
    assert all(isinstance(node, ast.AnnAssign) for node in body)
    assert {node.target.id: ast.literal_eval(node.value) for node in body}["TIER"] == "smoke"


def test_everything_was_run_once_in_order_without_a_complaint(notebook):
    assert [cell.execution_count for cell in code(notebook)] == list(
        range(1, len(code(notebook)) + 1)
    )
    for cell in code(notebook):
        for output in cell.outputs:
            assert output.output_type != "error" and output.get("name") != "stderr", cell.source
    assert not any(
        "injected-parameters" in cell.metadata.get("tags", []) for cell in notebook.cells
    )


def test_nothing_of_the_machine_is_kept(notebook):
    text = nbformat.writes(notebook)
    assert not MACHINE.search(text) and "application/vnd.jupyter.widget" not in text


def test_logic_lives_in_the_library(notebook, request):
    for cell in code(notebook):
        shown = "own-plug" in cell.metadata.get(
            "tags", []
        )  # the one cell that shows how to write a plug
        assert not shown or request.node.callspec.id == "70_your_own_policy"
        assert shown or not re.search(r"^\s*(def|class) ", cell.source, re.MULTILINE)
        assert cell.source.count("\n") < 15, cell.source


def test_headline_tables_are_compared(notebook, request):
    stem = request.node.callspec.id
    checked = [
        cell for cell in code(notebook) if "nbval-check-output" in cell.metadata.get("tags", [])
    ]
    assert checked, f"{stem} compares no output"
    assert not any(re.search(r"\d (ms|s)\b|tokens/s", str(cell.outputs)) for cell in checked)
