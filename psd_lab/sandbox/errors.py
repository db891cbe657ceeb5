"""Errors and warnings of the sandbox."""

from __future__ import annotations

import warnings

from psd_lib.errors import UserError


class SandboxUnavailable(UserError):
    """No way of isolating generated code works here; the text says why, and what helps."""


class UnsafeExecution(UserWarning):
    """Generated code runs without isolation because the caller asked for it."""


# A warning that is shown once would be forgotten by the second notebook cell.
warnings.simplefilter("always", UnsafeExecution)
