"""Where a checkpoint lies: a folder, an embedded model, or a Hub repository, downloaded once and at
a pinned revision.
"""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path

from psd_lib.errors import UserError
from psd_lib.models.released import SUPPORTED
from psd_lib.paths import MODELS, ROOT, files, find

FILES = ("*.json", "*.safetensors", "*.txt", "*.jinja")  # never *.py


def locate(path_or_repo: str | Path, revision: str | None = None) -> Path:
    """The folder of a checkpoint: a path, a name under data/models, or a Hub repository
    `owner/name` (downloaded).

    Without `revision` a repository of `SUPPORTED` is taken at its pin. Raises UserError with the
    reason and the remedy.
    """
    for candidate in (Path(path_or_repo), find(ROOT, path_or_repo), find(MODELS, path_or_repo)):
        if candidate.is_dir():
            if revision is not None:
                raise UserError(
                    f"{candidate} is a folder and has no revisions; give revision= with a Hub"
                    " repository only."
                )
            return candidate
    name = str(path_or_repo)
    if not re.fullmatch(r"[\w][\w.-]*/[\w.-]+", name) or name.startswith("data/"):
        embedded = [path.parent.name for path in files(MODELS, "*/config.json")]
        raise UserError(
            f"no checkpoint {name!r}: give a folder, a Hub repository owner/name, or one of:"
            f" {', '.join(embedded) or 'none'}."
        )
    return download(name, revision)


def download(repo: str, revision: str | None) -> Path:
    """The snapshot folder of a repository; nothing is transferred when it is there already. Code
    files are left out.
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
    """Raises UserError when the disk of the Hub's cache cannot hold what is still to be downloaded
    of a known repository.
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
    """The full commit hash for a short one: the Hub resolves only full ones. A snapshot in the
    cache needs no network.
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
    """The sentence for a failed download."""
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
