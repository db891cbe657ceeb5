"""Optional dependencies: one sentence that names the extra where one is missing."""

from __future__ import annotations

from importlib.util import find_spec

from psd_lib.errors import UserError


def require(extra: str, *modules: str, purpose: str) -> None:
    """Check that modules of an optional dependency can be imported, before any work is done.

    Raises:
        UserError: A module is missing; the sentence names it, what needs it (`purpose`) and the
            extra of psd-lib that installs it.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{purpose} needs {' and '.join(missing)}, which is not installed: pip install"
            f" 'psd-lib[{extra}]'."
        )
