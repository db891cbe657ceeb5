"""Cache plans that change no decision: which one is fastest, and which count as one decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psd_lib.models import Family

EXACT = "exact"  # what experiments write for the fastest one
EXACT_CACHES = ("none", "exact_block")


def exact_cache(family: Family) -> str:
    """Return the fastest cache plan that changes no decision of a family's models.

    Stored blocks stay valid where attention is block-causal; where positions see the future every
    call needs them all.
    """
    return "none" if family.sees_future else "exact_block"
