"""One environment, said three times: lock, conda file and metadata agree with each other and with
what is installed.
"""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from psd_lab.paths import ROOT

META = tomllib.loads((ROOT / "pyproject.toml").read_text())
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([A-Za-z0-9.!]+)$")


def pins(lines):
    found = {}
    for line in lines:
        match = PIN.match(line)
        assert match, f"not an exact pin without address or local version: {line!r}"
        found[canonicalize_name(match[1])] = match[2]
    return found


LOCK = pins(
    line
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if not line.startswith("#")
)
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
UNLOCKED = ("lm-eval",)  # extras that are not part of the pinned environment
EXTRAS = META["project"]["optional-dependencies"]
NAMED = [
    *META["project"]["dependencies"],
    *(one for name, listed in EXTRAS.items() if name not in UNLOCKED for one in listed),
]


def test_conda_file_has_the_pins_of_the_lock():
    *plain, pip = CONDA["dependencies"]
    assert plain == ["python=3.11", "pip"]
    assert CONDA["channels"] == ["conda-forge"]
    assert pins(pip["pip"]) == LOCK


@pytest.mark.parametrize("requirement", NAMED)
def test_the_lock_satisfies_what_the_package_asks_for(requirement):
    wanted = Requirement(requirement)
    assert wanted.specifier.contains(LOCK[canonicalize_name(wanted.name)])


def test_what_is_not_locked_is_asked_for_by_an_extra_of_its_own():
    assert set(UNLOCKED) <= set(EXTRAS)
    assert not {
        canonicalize_name(Requirement(one).name) for name in UNLOCKED for one in EXTRAS[name]
    } & set(LOCK)


def test_the_installed_environment_is_the_locked_one():
    installed = {name: Version(importlib.metadata.version(name)).public for name in LOCK}
    assert installed == {name: str(Version(pin)) for name, pin in LOCK.items()}


def test_the_lock_is_complete():
    """Whatever a locked package needs here is locked too, so that no install depends on the day it
    is made.
    """
    for name in LOCK:
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            # torch asks for its CUDA libraries by exact version itself, and the lock serves CPU and
            # CUDA builds.
            if (
                needed.marker is None or needed.marker.evaluate({"extra": ""})
            ) and not needed.name.startswith(("nvidia", "triton", "cuda")):
                assert canonicalize_name(needed.name) in LOCK, f"{name} needs {needed.name}"


def test_the_makefile_installs_torch_first_and_from_the_lock():
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if "pip install" in line]
    assert "grep '^torch=='" in lines[0]
    assert "-r requirements.lock" in lines[1]
    assert LOCK["torch"] == "2.13.0"


def test_no_file_of_the_environment_holds_an_address():
    for name in ("requirements.lock", "environment.yml", "pyproject.toml", "Makefile", ".ci/run"):
        assert "://" not in (ROOT / name).read_text(), name


def test_metadata_comes_from_the_package():
    import psd_lib

    assert importlib.metadata.version("psd-lib") == psd_lib.__version__
    scripts = importlib.metadata.entry_points(group="console_scripts", name="psd")
    assert [script.value for script in scripts] == ["psd_lab.cli:main"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == psd_lib.__version__


def test_import_takes_less_than_three_seconds_and_no_torch():
    probe = "import sys, psd_lib; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    seconds = []
    for _ in range(2):
        start = time.monotonic()
        assert subprocess.run([sys.executable, "-c", probe]).returncode == 0
        seconds.append(time.monotonic() - start)
    assert min(seconds) < 3


def test_ci_uses_the_two_doors():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    text = script.read_text()
    assert "make test" in text
    assert "make reproduce TIER=smoke" in text


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with the wheel and the sdist of this tree, built from a copy of it."""
    copy, out = tmp_path_factory.mktemp("tree") / "psd", tmp_path_factory.mktemp("dist")
    rooms = ("psd_lib", "psd_lab", "data", "notebooks", "tests")
    for room in rooms:
        shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy(path, copy)
    (copy / "data/tasks/mini-gsm/train.jsonl").write_text("{}\n")
    (copy / "data/models/.training/mini-ar").mkdir(parents=True, exist_ok=True)
    (copy / "data/models/.training/mini-ar/state.pt").write_text("")
    build = "import sys; from setuptools import build_meta as b; out = sys.argv[1]; "
    build += "b.build_sdist(out); b.build_wheel(out)"
    subprocess.run(
        [sys.executable, "-c", build, out], cwd=copy, check=True, capture_output=True, timeout=300
    )
    return out


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Run Python code in an empty folder with the wheel installed and no checkout in reach."""
    site = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(next(built.glob("*.whl"))).extractall(site)

    def run(code, folder, **variables):
        environment = {**os.environ, "PYTHONPATH": str(site), **variables}
        if "PSD_HOME" not in variables:
            environment.pop("PSD_HOME", None)
        return subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
        )

    return run


def shipped():
    """What an installed package reads, as paths of the checkout."""
    files = [path for room in ("psd_lib", "psd_lab") for path in (ROOT / room).rglob("*.*")]
    files += [path for room in ("configs", "graphs") for path in (ROOT / "data" / room).iterdir()]
    files += (ROOT / "data/profiles").rglob("*.yaml")
    files += (ROOT / "data/tasks").glob("*/*")
    files += (ROOT / "data/models").glob("*/*.json")
    files += (ROOT / "data/models").glob("*/*.safetensors")
    files += (ROOT / "notebooks").glob("*_*.ipynb")
    files += [ROOT / "data" / name for name in ("claims.yaml", "decoders.json")]
    files += [ROOT / "data/results/published/rows.jsonl.gz"]
    left_out = (".pyc", ".failed.ipynb", "/train.jsonl", "/training.json")
    return {str(path.relative_to(ROOT)) for path in files if not str(path).endswith(left_out)}


@pytest.mark.thorough
def test_the_wheel_holds_the_packages_and_all_that_they_read(built):
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {f"psd_data/{n}" if n.startswith(("data", "notebooks")) else n for n in shipped()}
    assert expected <= names
    cards = {f"psd_data/data/models/{m.name}/README.md" for m in (ROOT / "data/models").glob("m*")}
    assert names - expected == cards
    assert wheel.stat().st_size < 40e6


def test_the_sdist_builds_the_same_wheel_and_brings_its_tests(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        names = {name.partition("/")[2] for name in members.getnames()}
    assert shipped() <= names
    assert {"setup.py", "pyproject.toml", "README.md", "LICENSE", "requirements.lock"} <= names
    assert "tests/lab/test_packaging.py" in names
    assert not {name for name in names if "train.jsonl" in name or ".training" in name}


@pytest.mark.thorough
def test_the_installed_command_works_in_an_empty_folder_and_leaves_nothing_there(
    installed, tmp_path
):
    code = """if True:
        from psd_lab.cli import main
        for words in ("models", "tasks", "generate Compute&1+2. -o gen_length=8"):
            assert not main([word.replace("&", " ") for word in words.split(" ")]), words
        from psd_lab.runs import Tier, experiments
        from psd_lab.runs.notebooks import find
        from psd_lab.runs.reproduce import experiments_of
        print([config.name for config in experiments_of(Tier.load("smoke"), find())])
        from psd_lab.report import claims
        print(len(claims.load()))
    """
    done = installed(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mini-sdar-draft" in done.stdout and "mini-mbpp" in done.stdout
    assert "'comparison'" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_what_an_installed_package_writes_goes_to_a_folder_of_the_users(installed, tmp_path):
    code = """if True:
        import dataclasses
        from psd_lab import calibration, provenance
        first = calibration.load("mini-sdar-greedy")
        print(calibration.save(dataclasses.replace(first, name="mine")))
        print(calibration.names())
        assert calibration.load("mine").counts == first.counts
        print(provenance.collect()["commit"])
    """
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    done = installed(code, tmp_path)
    assert done.returncode == 0, done.stderr
    path, names, commit = done.stdout.splitlines()
    assert Path(path) == tmp_path / "psd-home/data/graphs/mine.json"
    assert names.startswith("['mine', 'mini-dream-confidence', 'mini-dream-greedy', ")
    assert commit == "None"
    sentence = f"psd: files are written to {tmp_path / 'psd-home'}; set PSD_HOME to choose another"
    assert done.stderr.splitlines() == [sentence]


@pytest.mark.thorough
def test_a_home_of_ones_own_is_written_to_and_a_missing_one_is_refused(installed, tmp_path):
    code = """if True:
        import sys
        from psd_lab.cli import main
        sys.exit(main(["models"]))
    """
    own = installed(code, tmp_path, PSD_HOME=str(tmp_path))
    assert own.returncode == 0 and "mini-ar" in own.stdout, own.stderr
    missing = installed(code, tmp_path, PSD_HOME="not/there")
    assert missing.returncode == 2
    assert missing.stderr == (
        "psd: PSD_HOME is 'not/there', which is not a folder: create it, or unset PSD_HOME.\n"
    )


def test_psd_lib_needs_its_five_dependencies_alone():
    imported = set()
    for path in (ROOT / "psd_lib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
    ours = {"numpy", "safetensors", "tokenizers", "torch", "transformers", "psd_lib"}
    # The Hub's client is a dependency of transformers.
    assert imported - sys.stdlib_module_names - ours == {"huggingface_hub"}
