"""The canvas: prompts and the masks behind them in one left-padded tensor.

Prompts have different lengths, and each sequence is in a block of its own. Columns are shared,
positions are not: a prompt of length P ends in column `prompt_end - 1` and its first token has
position 0, so column c of sequence s has position `c - pad[s]`, negative for padding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from psd_lib.core.denoiser import Denoiser
from psd_lib.core.scores import Scores


class Canvas:
    """S sequences of at most `gen_length` new tokens, decoded block by block.

    `width` W is the length of a block and `span` that of the window, here one block: `reach` is the
    number of further blocks in a window (see `psd_lib.core.eager`).

    Example, prompts of 3 and 5 tokens, block_length 4, gen_length 4, `p` prompt, `_` masked, `.`
    padding::

        column            0 1 2 3 4 5 6 7 8
        ids               . . p p p _ _ _ _        positions  . . 0 1 2 3 4 5 6
                          p p p p p _ _ _ _                   0 1 2 3 4 5 6 7 8
        absolute blocks   start = [2, 4]           the first window holds 3 and 1 prompt tokens
        prompt-end blocks start = [5, 5]
    """

    def __init__(
        self,
        denoiser: Denoiser,
        prompts: list[list[int]],
        gen_length: int,
        width: int,
        device: torch.device | str,
        reach: int = 0,
    ):
        self.mask_id, self.width, self.reach = denoiser.mask_id, width, reach
        self.span = (1 + reach) * width
        self.eos = torch.tensor(denoiser.eos_ids, device=device)
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        self.prompt_end = int(lengths.max())
        self.end = self.prompt_end + gen_length
        # spare blocks on the right, never masked and never seen, so that a window and the next are
        # inside the tensor
        ids = torch.full((len(prompts), self.end + self.span + width), denoiser.eos_ids[0])
        ids[:, self.prompt_end : self.end] = denoiser.mask_id
        for row, prompt in zip(ids, prompts, strict=True):
            row[self.prompt_end - len(prompt) : self.prompt_end] = torch.tensor(prompt)
        pad = self.padding = self.prompt_end - lengths
        columns = torch.arange(ids.shape[1])
        positions = columns - pad[:, None]
        if denoiser.absolute_blocks:
            blocks = positions.div(width, rounding_mode="floor")
            start = lengths // width * width + pad
        else:
            blocks = (columns - self.prompt_end).div(width, rounding_mode="floor")
            blocks, start = blocks.expand_as(positions), torch.full_like(pad, self.prompt_end)
        self.ids, self.positions = ids.to(device), positions.to(device)
        self.blocks, self.start, self.pad = blocks.to(device), start.to(device), pad.to(device)
        self.done = torch.zeros(len(prompts), dtype=torch.bool, device=device)

    def real(self, end: Tensor | int) -> Tensor:
        """Count the columns before `end` that are not padding, int64 `[S]` on the host."""
        return end - self.padding

    def columns(self, ahead: int = 0) -> Tensor:
        """Return the columns of each sequence's window, `[S, W]`; `ahead` = 1 is the next block."""
        return (
            self.start[:, None]
            + ahead * self.width
            + torch.arange(self.span, device=self.start.device)
        )

    def window(self, ahead: int = 0) -> tuple[Tensor, Tensor]:
        """Return tokens and mask of each sequence's window, both `[S, W]`."""
        tokens = self.ids.gather(1, self.columns(ahead))
        return tokens, tokens == self.mask_id

    def ends(self, tokens: Tensor, masked: Tensor) -> Tensor:
        """Return which states `[S, N, W]` hold a generated EOS with nothing masked before it.

        Bool `[S, N]`. EOS tokens of the prompt do not count.
        """
        generated = self.columns() >= self.prompt_end
        eos = torch.isin(tokens, self.eos) & generated[:, None]
        open_before = masked.cumsum(-1) > 0
        return (eos & ~open_before).any(-1)

    def last_block(self) -> Tensor:
        """Return whether each sequence's window is its last one, bool `[S]`."""
        return self.start + self.span >= self.end

    def write(self, tokens: Tensor, complete: Tensor, final: Tensor) -> None:
        """Make `tokens` `[S, W]` the state of the windows.

        `complete` bool `[S]` moves a window to the next block, `final` bool `[S]` ends a sequence.
        Finished sequences stay as they are.
        """
        columns = self.columns()
        kept = torch.where(self.done[:, None], self.ids.gather(1, columns), tokens)
        self.ids.scatter_(1, columns, kept)
        self.start = self.start + self.width * (complete & ~final & ~self.done)
        self.done = self.done | final

    def align(self, scores: Scores) -> Scores:
        """Align the accepted node's scores `[S, W]` with the window after `write`.

        Identity for windows of one block: a complete state was asked about the next block.
        """
        return scores
