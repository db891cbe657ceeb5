"""What psd_lib needs: torch, transformers, safetensors, tokenizers, numpy, and nothing else."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import psd_lib

# huggingface_hub comes with transformers
NEEDED = {"torch", "transformers", "huggingface_hub", "safetensors", "tokenizers", "numpy"}
FOLDER = Path(psd_lib.__file__).parent

HIDE = """
import importlib.machinery, sys

class Hidden(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in {hidden}:
            return None
        return super().find_spec(name, path, target)

sys.meta_path[:] = [
    Hidden if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path
]
"""
DECODE = """
import psd_lib
assert not {"torch", "transformers", "numpy"} & set(sys.modules), "import psd_lib is not instant"
model = psd_lib.load("mini-sdar", device="cpu")
text = psd_lib.generate(model, "def f(x):", cache="exact_block", gen_length=8)[0].text
assert isinstance(text, str)
assert not {"pandas", "scipy", "matplotlib", "psd_lab"} & set(sys.modules)
print("decoded")
"""


def imports(path):
    """The packages that a file imports anywhere, within functions as well."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module.partition(".")[0]


def test_psd_lib_imports_what_it_needs_and_nothing_else():
    found = {package for path in FOLDER.rglob("*.py") for package in imports(path)}
    assert found - set(sys.stdlib_module_names) - {"psd_lib"} == NEEDED


@pytest.mark.thorough
def test_load_and_generate_work_where_only_that_is_installed():
    """In a process of its own, in which the packages of the experiment cannot be found."""
    hidden = ["pandas", "scipy", "matplotlib", "seaborn", "psd_lab", "pydantic", "IPython"]
    code = HIDE.format(hidden=set(hidden)) + DECODE
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "decoded\n"), done.stderr
