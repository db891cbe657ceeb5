"""Which file a name means: one of the user's before the one that came with the package."""

from pathlib import Path

import pytest

from psd_lib import paths
from psd_lib.errors import UserError


@pytest.fixture
def layers(tmp_path, monkeypatch):
    """A home and an installed package's files, each with some of the graphs a, b and c."""
    home, package = tmp_path / "home", tmp_path / "site"
    for root, names in ((home, "ab"), (package / "psd_data", "bc")):
        (root / "data" / "graphs").mkdir(parents=True)
        for name in names:
            (root / "data" / "graphs" / f"{name}.json").write_text(root.name)
    monkeypatch.setattr(paths, "ROOT", home)
    monkeypatch.setattr(paths, "SHIPPED", package / "psd_data")
    return home / "data" / "graphs"


def test_a_file_of_the_users_hides_the_shipped_one_of_its_name(layers):
    found = {path.name: path.read_text() for path in paths.files(layers, "*.json")}
    assert found == {"a.json": "home", "b.json": "home", "c.json": "psd_data"}
    assert list(found) == ["a.json", "b.json", "c.json"]
    assert paths.find(layers, "b.json").read_text() == "home"
    assert paths.find(layers, "c.json").read_text() == "psd_data"


def test_a_name_that_nobody_has_would_lie_in_the_home(layers):
    assert paths.find(layers, "d.json") == layers / "d.json"


def test_a_folder_elsewhere_has_nothing_shipped_beside_it(layers, tmp_path):
    assert paths.files(tmp_path / "other", "*.json") == []
    assert paths.find(tmp_path / "other", "c.json") == tmp_path / "other" / "c.json"


def test_only_files_that_came_along_count_as_installed(layers):
    assert paths.is_installed(paths.find(layers, "c.json"))
    assert not paths.is_installed(paths.find(layers, "b.json"))


def test_a_new_home_is_announced_once(layers, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "ROOT", tmp_path / "new")
    assert paths.make_folder(tmp_path / "new" / "data" / "results").is_dir()
    assert capsys.readouterr().err.startswith(f"psd: files are written to {tmp_path / 'new'};")
    paths.make_folder(tmp_path / "new" / "data" / "graphs")
    paths.make_folder(tmp_path / "elsewhere")
    assert capsys.readouterr().err == ""


def test_a_home_that_cannot_be_made_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(paths, "ROOT", tmp_path / "file" / "home")
    with pytest.raises(UserError, match=r"cannot be created \(Not a directory\): set PSD_HOME"):
        paths.make_folder(tmp_path / "file" / "home" / "data")


def test_the_root_is_the_home_that_is_set_else_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("PSD_HOME", str(tmp_path))
    assert paths.find_root() == tmp_path
    monkeypatch.setenv("PSD_HOME", str(tmp_path / "missing"))
    with pytest.raises(UserError, match="which is not a folder"):
        paths.find_root()
    monkeypatch.delenv("PSD_HOME")
    assert paths.find_root() == Path(paths.__file__).parent.parent


def test_an_installed_package_uses_the_checkout_around_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("PSD_HOME", raising=False)
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site")
    checkout = tmp_path / "checkout"
    (checkout / "data" / "configs").mkdir(parents=True)
    (checkout / "notebooks").mkdir()
    monkeypatch.chdir(checkout / "notebooks")
    assert paths.find_root() == checkout / "notebooks" / "psd-home"
    (checkout / "data" / "configs" / "tiers.yaml").write_text("")
    assert paths.find_root() == checkout


def test_children_find_the_same_root_and_the_environment_stays_as_it_was(monkeypatch):
    import os

    for before in (None, "here"):
        monkeypatch.delenv("PSD_HOME", raising=False)
        if before:
            monkeypatch.setenv("PSD_HOME", before)
        with paths.root_for_children():
            assert os.environ["PSD_HOME"] == str(paths.ROOT)
        assert os.environ.get("PSD_HOME") == before
