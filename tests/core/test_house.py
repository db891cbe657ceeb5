"""The rules of the house: which part may import which, and how large it is."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, those inside functions included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


TEST_MODULES = {path.stem: path for path in sorted((ROOT / "tests").rglob("test_*.py"))}


@pytest.mark.parametrize("name", TEST_MODULES)
def test_no_test_module_imports_another(name):
    parts = {part for module in imported(TEST_MODULES[name]) for part in module.split(".")}
    assert not parts & set(TEST_MODULES), "what tests share lives in tests/support"
