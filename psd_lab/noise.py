"""The number that keeps one prompt's sampling noise apart from another's."""

from __future__ import annotations

from zlib import crc32

NOISES = 1 << 20  # what the decoding loop keeps apart of the seed


def noise_index(text: str) -> int:
    """Return the noise index of what `text` names, so that noise belongs to an item, whatever batch
    it is in.
    """
    return crc32(text.encode()) % NOISES
