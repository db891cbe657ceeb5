"""Attention masks: who sees whom, from a few predicates that compose with `&`, `|` and `~`.

Every predicate takes numbers of the queries `[R, Q]` and of the keys `[R, K]` and returns bool
`[R, Q, K]`; `mask` gives the result the form that attention layers want, `draw` prints it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from psd_lib.core.canvas import Canvas
from psd_lib.core.denoiser import Denoiser


def not_before(queries: Tensor, keys: Tensor) -> Tensor:
    """Return which keys have a number up to the query's own: block-causal, or causal, attention.

    Example, block numbers [0, 1, 1] for queries and keys::

        1 . .
        1 1 1
        1 1 1
    """
    return queries[:, :, None] >= keys[:, None, :]


def same(queries: Tensor, keys: Tensor) -> Tensor:
    """Return which keys have the query's own number, such as that of their guessed state."""
    return queries[:, :, None] == keys[:, None, :]


def mask(seen: Tensor) -> Tensor:
    """Return `[R, 1, Q, K]`: stock attention layers pass a mask on unchanged if it is 4-D."""
    return seen[:, None]


def visibility(positions: Tensor, blocks: Tensor, sees_future: bool) -> Tensor:
    """Return which key each query may see, bool `[R, 1, C, C]`, where queries and keys are one row.

    Nobody sees keys at padding (negative position); padding queries see every real key, since a
    query without a key is undefined in some kernels. Block-causal: a query sees its own block and
    everything before it.

    Example, positions [-1, 0, 1, 2], block_length 2, block-causal, query rows from the top::

        . 1 1 1
        . 1 1 .
        . 1 1 .
        . 1 1 1
    """
    real = positions >= 0
    if sees_future:
        return mask(real[:, None, :].expand(-1, positions.shape[1], -1))
    return mask((not_before(blocks, blocks) | ~real[:, :, None]) & real[:, None, :])


def block_numbers(
    denoiser: Denoiser, canvas: Canvas, sequence: Tensor, begin: Tensor, size: int
) -> Tensor:
    """Return block numbers `[R, size]` of the first columns of rows of `sequence` `[R]`.

    `begin` `[R]` is the first column of each row's current block. With a causal context every
    column before it is a block of its own.

    Example, width 2, begin 2, size 6, causal context: blocks [0, 1, 2, 2, 4, 4].
    """
    if not denoiser.causal_context:
        return canvas.blocks[sequence, :size]
    columns, begin = torch.arange(size, device=begin.device), begin[:, None]
    return torch.where(columns < begin, columns, columns - (columns - begin) % canvas.width)


def draw(seen: Tensor, names: str = "") -> str:
    """Return a mask `[Q, K]`, or the first of `[R, 1, Q, K]`, as text: `1` sees, `.` does not.

    `names` labels the queries, one letter each.
    """
    matrix = seen.reshape(-1, *seen.shape[-2:])[0].tolist()
    heads = names.ljust(len(matrix)) if names else [""] * len(matrix)
    rows = (" ".join("1" if one else "." for one in row) for row in matrix)
    return "\n".join(f"{head} {row}".strip() for head, row in zip(heads, rows, strict=True))
