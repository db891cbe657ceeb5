"""Find a checkpoint's folder: a folder, an embedded model, or a Hub repository.

Repositories are downloaded once and at a pinned revision.
"""

from __future__ import annotations

import errno
import re
import shutil
import sys
from pathlib import Path

from psd_lib.errors import UserError
from psd_lib.models.released import SUPPORTED
from psd_lib.paths import MODELS, ROOT, files, find

FILES = ("*.json", "*.safetensors", "*.txt", "*.jinja")  # never *.py
REPOSITORY = r"\w[\w.-]*/[\w.-]+"


def locate(path_or_repo: str | Path, revision: str | None = None) -> Path:
    """Return the folder of a checkpoint.

    `path_or_repo` is a folder, the name of an embedded model, or a Hub repository `owner/name`,
    which is downloaded; without `revision` a repository of `SUPPORTED` is taken at its pin. An
    embedded model's bare name is never a folder that happens to have it, while a folder is taken
    for a repository of its name, as elsewhere; both are said on stderr.

    Raises:
        UserError: there is no such checkpoint, or the Hub cannot give it.
    """
    if not isinstance(path_or_repo, str | Path) or not str(path_or_repo).strip():
        raise UserError(
            f"a model is named by a text or a path, got {path_or_repo!r}; {_accepted()}"
        )
    if not isinstance(revision, str | None):
        raise UserError(f"revision must be a branch, a tag or a commit, got {revision!r}.")
    name = str(path_or_repo)
    folder = _folder(path_or_repo)
    if folder is not None:
        if revision is not None:
            raise UserError(
                f"{folder} is a folder and has no revisions; give revision= with a Hub repository"
                " only."
            )
        return folder
    if not re.fullmatch(REPOSITORY, name) or name.startswith("data/"):
        raise UserError(f"no checkpoint {name!r}: {_accepted()}")
    return download(name, revision)


def name_of(folder: Path) -> str:
    """Return what a checkpoint is called: its repository's or its real folder's last part.

    It does not depend on how the path was typed: a link, `.` or a trailing slash change nothing.
    """
    folder = folder.resolve()
    if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith("models--"):
        return folder.parent.parent.name.split("--")[-1]
    return folder.name


def _embedded() -> dict[str, Path]:
    """Return the folders of the embedded models by name."""
    return {path.parent.name: path.parent for path in files(MODELS, "*/config.json")}


def _folder(given: str | Path) -> Path | None:
    """Return the folder of a name: an embedded model's bare name, a path, one in the project."""
    name, embedded = str(given), _embedded()
    typed = Path(name).expanduser() if name.startswith("~") else Path(name)
    if isinstance(given, str) and name in embedded:
        if _is_folder(typed) and not typed.samefile(embedded[name]):
            print(
                f"{name} is the embedded model; the folder {typed.resolve()} is not read: give"
                f" ./{name} for that one.",
                file=sys.stderr,
            )
        return embedded[name]
    for candidate in (typed, find(ROOT, name), find(MODELS, name)):
        if _is_folder(candidate):
            if name in SUPPORTED:
                print(
                    f"{name} is read from the folder {candidate.resolve()}, not from the Hub.",
                    file=sys.stderr,
                )
            return candidate
    return None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that no file system takes
        return False


def _accepted() -> str:
    names = ", ".join(_embedded()) or "none"
    return f"give a folder, a Hub repository owner/name, or one of: {names}."


def download(repo: str, revision: str | None) -> Path:
    """Return the snapshot folder of a repository; what is there already is not transferred again.

    Code files are left out.

    Raises:
        UserError: the reason why the Hub cannot give it.
    """
    import huggingface_hub as hub

    pinned = SUPPORTED[repo].revision if revision is None and repo in SUPPORTED else None
    wanted = revision or pinned
    try:
        whole = (
            _whole(repo, wanted) if wanted and re.fullmatch(r"[0-9a-f]{7,39}", wanted) else wanted
        )
        return Path(hub.snapshot_download(repo, revision=whole, allow_patterns=list(FILES)))
    except UserError:
        raise
    except Exception as error:  # whatever went wrong on the way, the user needs one sentence
        raise UserError(_reason(repo, wanted, pinned is not None, error)) from error


def room(repo: str) -> None:
    """Check that the Hub's cache has room for what is still to be downloaded of a repository.

    Repositories that are not in `SUPPORTED` have no known size and are not checked.

    Raises:
        UserError: the disk is too full.
    """
    if repo not in SUPPORTED:
        return
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = Path(HF_HUB_CACHE)
    blobs = cache / f"models--{repo.replace('/', '--')}" / "blobs"
    there = sum(path.stat().st_size for path in blobs.glob("*")) if blobs.is_dir() else 0
    lacking = SUPPORTED[repo].disk * 1e9 - there
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    # a snapshot that is there whole may be a little smaller than its rounded size
    if lacking > max(free, 0.02 * SUPPORTED[repo].disk * 1e9):
        raise UserError(
            f"{repo} takes {lacking / 1e9:.1f} GB of disk under {cache}, where {free / 1e9:.1f} GB"
            " are free; free some, or set HF_HOME to another disk."
        )


def _whole(repo: str, short: str) -> str:
    """Return the full commit hash for a short one, because the Hub resolves only full ones.

    A snapshot in the cache needs no network.
    """
    import huggingface_hub as hub
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / "snapshots"
    for folder in sorted(snapshots.glob(f"{short}*")):
        return folder.name
    for commit in hub.HfApi().list_repo_commits(repo):
        if commit.commit_id.startswith(short):
            return commit.commit_id
    raise UserError(
        f"{repo} has no revision {short!r}; give revision= a branch, a tag or a commit of it, e.g."
        " 'main'."
    )


def _reason(repo: str, revision: str | None, pinned: bool, error: Exception) -> str:
    """Return the sentence for a failed download."""
    from huggingface_hub import constants, errors

    at = f"{repo} (revision {revision or 'main'}{', pinned' if pinned else ''})"
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{repo} is gated: accept its terms on its model page and log in with `hf auth login`."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"the Hub has no repository {repo}, or it is private: check the name, or log in with"
            " `hf auth login`."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"{repo} has no revision {revision!r}; give revision= a branch, a tag or a commit of"
            " it, e.g. 'main'."
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return (
            f"the disk is full while downloading {repo}; free some space or set HF_HOME to another"
            " disk, then load again to go on."
        )
    if constants.HF_HUB_OFFLINE or isinstance(error, errors.OfflineModeIsEnabled):
        other = ", give revision='main' if that is what you have" if pinned else ""
        return (
            f"{at} is not in the local cache and HF_HUB_OFFLINE is set; unset it{other}, or give a"
            " folder with the checkpoint."
        )
    if (
        isinstance(error, (errors.LocalEntryNotFoundError, ConnectionError, TimeoutError))
        or "Connect" in type(error).__name__
    ):
        return (
            f"{at} is not in the local cache and the Hub cannot be reached; check the network, or"
            " give a folder with the checkpoint."
        )
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return f"cannot get {at} from the Hub: {first}"
