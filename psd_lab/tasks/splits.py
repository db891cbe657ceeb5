"""Which split an item belongs to.

Its answer pattern alone decides, so that splits cannot share one.
"""

from __future__ import annotations

import zlib

SPLITS = ("train", "validation", "test")
_BUCKETS = 20
_HELD_OUT = {0: "test", 1: "validation"}


def split_of(pattern: tuple[str, ...], atomic: bool = False) -> str:
    """Return the split of an answer pattern.

    Its crc32 modulo 20 is 0 for test, 1 for validation, else train. An `atomic` pattern (a single
    building block) is always train: every block must be learnable, and only compositions of blocks
    are held out.
    """
    if atomic:
        return "train"
    return _HELD_OUT.get(zlib.crc32(" ; ".join(pattern).encode()) % _BUCKETS, "train")
