"""Files that appear whole under their name or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from psd_lab.paths import make_folder
from psd_lib.errors import UserError

REFUSED = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.EFBIG,
    errno.EIO,
)


def write_atomically(path: Path, content: str | bytes | Callable[[Path], object]) -> None:
    """Write a file, which replaces its predecessor in one step once it is whole on the disk.

    The folder is made where it is missing. A reader, and whoever comes after a crash, sees the old
    file or the new one.

    Args:
        content: Text (written as UTF-8), bytes, or a function that writes a file at the path that
            it is given, which has the suffix of `path`.

    Raises:
        UserError: The disk is full, or the place cannot be written; the old file is as it was.
    """
    draft = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        make_folder(path.parent)
        if isinstance(content, str):
            draft.write_text(content, encoding="utf-8", newline="")
        elif isinstance(content, bytes):
            draft.write_bytes(content)
        else:
            content(draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise refusal(path, error) from None
    finally:
        with suppress(OSError):
            draft.unlink()


def refusal(path: Path, error: OSError) -> Exception:
    """Return the UserError for a disk that is full or may not be written, else `error` itself."""
    if error.errno not in REFUSED:
        return error
    return UserError(
        f"{path} cannot be written ({error.strerror}): what was there stays, and rows are kept;"
        " make room or get the right to write, then run again to go on."
    )
