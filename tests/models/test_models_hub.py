"""Where checkpoints come from: pins, and one sentence for every way in which the Hub can fail.
Nothing here is online.
"""

import errno

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import constants, errors

import psd_lib
from psd_lib.errors import UserError
from psd_lib.models import FAMILIES, SUPPORTED, hub, memory
from psd_lib.models.released import table

REPO, PINNED = "owner/name", "JetLM/SDAR-8B-Chat"
RESPONSE = httpx2.Response(403, request=httpx2.Request("GET", "https://example.org"))
FAILURES = {
    "gated": (
        errors.GatedRepoError("no", response=RESPONSE),
        "owner/name is gated: accept its terms",
    ),
    "absent": (
        errors.RepositoryNotFoundError("no", response=RESPONSE),
        "the Hub has no repository owner/name",
    ),
    "revision": (
        errors.RevisionNotFoundError("no", response=RESPONSE),
        "owner/name has no revision 'v9'; give revision=",
    ),
    "disk full": (
        OSError(errno.ENOSPC, "No space left on device"),
        "the disk is full while downloading owner/name",
    ),
    "no network": (errors.LocalEntryNotFoundError("cannot find"), "the Hub cannot be reached"),
    "timeout": (httpx2.ConnectTimeout("slow"), "the Hub cannot be reached"),
    "else": (
        RuntimeError("first line\nsecond line"),
        "cannot get owner/name .revision v9. from the Hub: first line$",
    ),
}


@pytest.fixture
def snapshots(monkeypatch):
    """What would be asked of the Hub, as (repository, revision, patterns); every answer is an empty
    folder.
    """
    asked = []

    def download(repo, revision, allow_patterns):
        asked.append((repo, revision, tuple(allow_patterns)))
        return "snapshot"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return asked


@pytest.mark.parametrize("case", FAILURES)
def test_a_failed_download_is_one_sentence(monkeypatch, snapshots, case):
    error, words = FAILURES[case]

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(UserError, match=words) as caught:
        psd_lib.load(REPO, revision="v9")
    assert "\n" not in str(caught.value)


def test_the_offline_flag_fails_at_once_and_says_so(monkeypatch, tmp_path):
    def reach(*_, **__):
        raise AssertionError("the network was tried")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", reach)
    for repo in (REPO, PINNED):
        with pytest.raises(
            UserError, match=f"{repo} .*not in the local cache and HF_HUB_OFFLINE is set"
        ):
            hub.locate(repo)


def test_code_is_never_downloaded(snapshots):
    hub.locate(REPO)
    assert snapshots == [(REPO, None, hub.FILES)]
    assert not any(pattern.endswith("py") or pattern == "*" for pattern in hub.FILES)


def test_a_pin_is_resolved_to_the_full_commit_and_a_given_revision_wins(
    monkeypatch, snapshots, tmp_path
):
    full = SUPPORTED[PINNED].revision.ljust(40, "0")
    commits = [type("Commit", (), {"commit_id": commit}) for commit in ("f" * 40, full)]
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_commits", lambda self, repo: commits)
    hub.locate(PINNED)
    hub.locate(PINNED, "main")
    hub.locate("GSAI-ML/LLaDA-1.5")
    assert [revision for _, revision, _ in snapshots] == [full, "main", None]
    with pytest.raises(UserError, match="has no revision '1234567'"):
        hub.locate(PINNED, "1234567")


def test_a_snapshot_in_the_cache_needs_no_network_for_its_pin(monkeypatch, snapshots, tmp_path):
    full = SUPPORTED[PINNED].revision.ljust(40, "a")
    (tmp_path / "models--JetLM--SDAR-8B-Chat" / "snapshots" / full).mkdir(parents=True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(
        huggingface_hub.HfApi, "list_repo_commits", lambda self, repo: pytest.fail("asked the Hub")
    )
    hub.locate(PINNED)
    assert snapshots[0][1] == full


def test_a_revision_of_a_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="is a folder and has no revisions"):
        psd_lib.load(tmp_path, revision="main")


@pytest.mark.parametrize("name", ["nowhere", "./no/where", "data/models/gone", "a/b/c"])
def test_what_is_neither_folder_nor_repository_is_refused(name):
    with pytest.raises(
        UserError,
        match=r"no checkpoint .*give a folder, a Hub repository owner/name, or one of: .*mini-sdar",
    ):
        psd_lib.load(name)


def test_a_full_disk_is_foreseen(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "not" / "yet"))
    monkeypatch.setattr(memory, "free_on", lambda device: None)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**9}))
    with pytest.raises(UserError, match=r"takes 16.4 GB of disk under .*, where 1.0 GB are free"):
        psd_lib.load(PINNED, device="cpu")
    blobs = tmp_path / "not" / "yet" / "models--JetLM--SDAR-8B-Chat" / "blobs"
    blobs.mkdir(parents=True)
    with (blobs / "part").open("wb") as file:
        file.truncate(int(16.0e9))
    hub.room(PINNED)


def test_a_known_checkpoint_that_does_not_fit_is_refused_before_anything_is_downloaded(monkeypatch):
    monkeypatch.setattr(memory, "free_on", lambda device: 12 * 10**9)
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("downloaded")
    )
    with pytest.raises(
        UserError,
        match=r"needs 18\.0 GB \(16\.4 GB of weights in bfloat16.*main memory has 12\.0 GB free",
    ):
        psd_lib.load(PINNED, device="cpu")


def test_every_supported_checkpoint_has_a_family_and_a_full_record():
    assert all(
        entry.family in FAMILIES and entry.licence and entry.repo == repo
        for repo, entry in SUPPORTED.items()
    )
    assert {entry.family for entry in SUPPORTED.values()} == set(FAMILIES) - {"qwen3"}
    assert {row["revision"] for row in table() if "LLaDA-1.5" in row["repository"]} == {
        "not pinned"
    }
