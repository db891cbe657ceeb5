"""The rules of the house: which part may import which, and how large a file and a function may be.

The width of lines, the docstrings and the like are `make lint`'s.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    path.relative_to(ROOT).as_posix(): path
    for package in ("psd_lib", "psd_lab")
    for path in sorted((ROOT / package).rglob("*.py"))
}
TESTS = {path.stem: path for path in sorted((ROOT / "tests").rglob("test_*.py"))}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, those inside functions included."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full, not relative"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def inside(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("name", TESTS)
def test_no_test_module_imports_another(name):
    parts = {part for module in imported(TESTS[name]) for part in module.split(".")}
    assert not parts & set(TESTS), "what tests share lives in tests/support"


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("psd_lib/")])
def test_the_library_does_not_import_the_experiment(file):
    assert not [name for name in imported(FILES[file]) if inside(name, "psd_lab")]


def test_the_core_imports_nothing_else_of_the_library_but_its_errors():
    allowed = ("psd_lib.core", "psd_lib.errors")
    assert not {
        (file, name)
        for file, path in FILES.items()
        if file.startswith("psd_lib/core/")
        for name in imported(path)
        if inside(name, "psd_lib", "psd_lab") and not inside(name, *allowed)
    }


def test_the_core_asks_no_object_whether_it_has_an_attribute():
    """What a strategy may define has a default in its base class."""
    assert not {
        (file, node.lineno)
        for file, path in FILES.items()
        if file.startswith("psd_lib/core/")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("hasattr", "getattr")
        and isinstance(node.args[1], ast.Constant)
    }


def loaded(code: str, *modules: str) -> list[str]:
    """Which of the modules a fresh interpreter has loaded after running the code."""
    code = f"{code}\nimport sys\nprint(*(m for m in {modules!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_report_does_not_load_torch():
    every = sorted(
        file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for file in FILES
        if file.startswith("psd_lab/report/")
    )
    assert not loaded(f"import {', '.join(every)}", "torch", "transformers")


def test_the_library_loads_none_of_the_experiments_dependencies():
    assert not loaded("import psd_lib", "pandas", "scipy", "yaml", "matplotlib", "typer")


def test_no_file_is_over_300_lines_and_no_function_over_60():
    long = set()
    for file, path in FILES.items():
        if len(path.read_text(encoding="utf-8").splitlines()) > 300:
            long.add(file)
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 60:
                long.add(f"{file}: {node.name}")
    assert not long


def test_nobody_switches_the_formatter_or_the_width_off():
    switches = ("fmt: " + "skip", "fmt: " + "off", "noqa: " + "E501")
    every = [*FILES.values(), *(ROOT / "tests").rglob("*.py")]
    texts = {path: path.read_text(encoding="utf-8") for path in every}
    assert not [path for path, text in texts.items() if any(word in text for word in switches)]
