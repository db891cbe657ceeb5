"""One environment, said three times: lock, conda file and metadata agree with each other and with
what is installed.
"""

import importlib.metadata
import os
import re
import subprocess
import sys
import time
import tomllib

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


def test_every_room_is_packaged():
    rooms = {path.parent.name for path in (ROOT / "psd_lib").glob("*/__init__.py")}
    assert {"decoding", "models", "report", "runs", "tasks", "training"} <= rooms
    assert META["tool"]["setuptools"]["packages"]["find"] == {"include": ["psd_lib*"]}


def test_ci_uses_the_two_doors():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    text = script.read_text()
    assert "make test" in text
    assert "make reproduce TIER=smoke" in text


@pytest.mark.slow
def test_a_plain_install_gives_the_command(tmp_path):
    """`pip install .` into a folder: the package with all rooms and the command, away from the
    checkout.
    """
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--target",
            str(tmp_path),
            str(ROOT),
        ],
        check=True,
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PSD_HOME": str(ROOT)}
    done = subprocess.run(
        [tmp_path / "bin" / "psd", "decoders"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "psd" in done.stdout
