"""Every example of CONTRIBUTING.md and docs/architecture.md is run as it stands on the page."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import psd_lib  # noqa: F401 (its methods are registered before what is registered is noted)
from psd_lib import DECODERS
from psd_lib.core.registry import KINDS
from psd_lib.models import FAMILIES

ROOT = Path(__file__).parents[2]
PAGES = ("CONTRIBUTING.md", "docs/architecture.md")
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROOMS = ("", "psd_lib", "psd_lib/core", "psd_lib/methods", "psd_lab")
NAMED = re.compile(r"`([\w/]+\.py)(?:: (?:\w+\.)?(\w+))?`")
LINK = re.compile(r"\]\((?!http)([^)#]+)\)")
METHOD = "# psd_lib/methods/sure_run.py\n"
ROW = "# tests/core/test_policy_situations.py, a row of AFTER\n"
TESTS = ("tests/core/test_policy_situations.py", "tests/core/test_every_policy.py")


def sections(page: str) -> dict[str, list[str]]:
    """The Python blocks of each section of a page."""
    _, *parts = SECTION.split((ROOT / page).read_text(encoding="utf-8"))
    found = {title: CODE.findall(text) for title, text in zip(parts[::2], parts[1::2], strict=True)}
    return {title: blocks for title, blocks in found.items() if blocks}


EXAMPLES = {title: blocks for page in PAGES for title, blocks in sections(page).items()}


@pytest.fixture
def module(monkeypatch, tmp_path):
    """A module to run a section in; what it registers is forgotten, what it writes lies apart."""
    registries = [DECODERS, FAMILIES, *(registry for _, registry in KINDS.values())]
    before = [(registry, dict(registry)) for registry in registries]
    made = ModuleType("example")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    yield made
    for registry, kept in before:
        registry.clear()
        registry.update(kept)


@pytest.mark.parametrize("page", [*PAGES, "docs/glossary.md", "docs/invariants.md", "README.md"])
def test_every_file_and_function_that_a_page_names_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in LINK.findall(text):
        assert (ROOT / page).parent.joinpath(link).exists(), link
    for path, name in NAMED.findall(text):
        places = [ROOT / room / path for room in ROOMS]
        found = [place for place in places if place.is_file()]
        assert found, path
        code = found[0].read_text(encoding="utf-8")
        assert not name or re.search(rf"(def|class) {name}\b|^{name} = ", code, re.MULTILINE), name


def test_everything_that_can_be_added_has_an_example():
    assert list(sections("CONTRIBUTING.md")) == [
        "A policy",
        "A drafter",
        "An acceptor",
        "A cache plan",
        "A method",
        "A task",
        "A model family",
        "A notebook",
    ]


@pytest.mark.parametrize("title", [title for title in EXAMPLES if title != "A method"])
def test_the_example_does_what_the_page_says(title, module):
    for block in EXAMPLES[title]:
        exec(compile(block, title, "exec"), vars(module))


@pytest.fixture
def checkout(tmp_path):
    """A copy of the code with the page's method in it: one file, and one row of a table."""
    for name in ("psd_lib", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    method, row, _ = EXAMPLES["A method"]
    assert method.startswith(METHOD) and row.startswith(ROW)
    (tmp_path / "psd_lib/methods/sure_run.py").write_text(
        method.removeprefix(METHOD), encoding="utf-8"
    )
    table = tmp_path / "tests/core/test_policy_situations.py"
    text = table.read_text(encoding="utf-8")
    assert text.count("AFTER = {\n") == 1
    added = text.replace("AFTER = {\n", "AFTER = {\n" + row.removeprefix(ROW))
    table.write_text(added, encoding="utf-8")
    return tmp_path


@pytest.mark.thorough
def test_a_method_is_one_file_and_one_row(checkout):
    *_, use = EXAMPLES["A method"]
    python(checkout, "-c", use)
    only = "sure_run or every_policy_has_its_line"
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-k", only]
    printed = python(checkout, "-m", "pytest", *options, *TESTS)
    assert " passed" in printed


def python(folder: Path, *arguments: str) -> str:
    """What a fresh interpreter prints that imports the packages of a folder."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
