"""Where a result comes from: what counts as a change of code, and what is said where there is no
checkout.
"""

import json
import subprocess

import pytest

from psd_lab import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for folder in ("psd_lib", "data/results"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_text("1")
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_the_block_is_json_and_names_the_commit(checkout):
    block = provenance.collect()
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True
    ).stdout.strip()
    assert block["commit"] == head
    assert block["dirty"] is False
    assert block["lock"] is None
    assert json.loads(json.dumps(block)) == block
    assert {"torch", "transformers", "psd-lib"} <= block["packages"].keys()
    assert provenance.collect() == block


def test_changed_code_is_dirty_and_changed_results_are_not(checkout):
    (checkout / "data/results/file").write_text("2")
    assert provenance.collect()["dirty"] is False
    (checkout / "psd_lib/file").write_text("2")
    assert provenance.collect()["dirty"] is True


def test_the_lock_is_named_by_its_content(checkout):
    (checkout / "requirements.lock").write_text("torch==2.13.0\n")
    first = provenance.collect()["lock"]
    (checkout / "requirements.lock").write_text("torch==2.14.0\n")
    assert len(first) == 12
    assert provenance.collect()["lock"] != first


def test_without_a_checkout_nothing_is_claimed(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    block = provenance.collect()
    assert (block["commit"], block["dirty"]) == (None, None)


def test_an_installed_package_never_names_the_commit_of_the_repository_around_it(
    checkout, monkeypatch
):
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(provenance, "CHECKOUT", None)
    block = provenance.collect()
    assert (block["commit"], block["dirty"], block["lock"]) == (None, None, None)
