"""Models whose logits are written down, and batches and steps made of them; no network runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from psd_lib.core.batch import Batch
from psd_lib.core.canvas import Canvas
from psd_lib.core.denoiser import Layers
from psd_lib.core.scores import Scores
from psd_lib.core.strategy import Policy, Step
from psd_lib.core.trace import Recorder
from psd_lib.models import FAMILIES, Model
from psd_lib.models.denoiser import NetworkDenoiser
from psd_lib.testing.tiny import tiny_tokenizer

CPU = torch.device("cpu")


@dataclass
class FakeDenoiser:
    """A model whose logits are written down: `reply` gets a row's number, its ids and a column.

    It returns the logits of what stands there, a list of `vocab_size` numbers. No network runs.
    """

    reply: Callable[[int, list[int], int], Sequence[float]]
    vocab_size: int
    mask_id: int
    eos_ids: tuple[int, ...]
    sees_future: bool = True
    causal_context: bool = False
    shift: bool = False
    absolute_blocks: bool = False
    device: torch.device = CPU

    def logits(
        self,
        ids: Tensor,
        positions: Tensor,
        visible: Tensor,
        row: Tensor,
        column: Tensor,
        stored: Layers | None = None,
        new: Layers | None = None,
    ) -> Tensor:
        """Return the written logits `[n, V]`."""
        rows, where = ids.tolist(), zip(row.tolist(), column.tolist(), strict=True)
        return torch.tensor(
            [list(self.reply(r, rows[r], c)) for r, c in where], dtype=torch.float32
        )


def fake_batch(
    prompts: list[list[int]],
    gen_length: int,
    width: int,
    denoiser: FakeDenoiser | None = None,
    temperature: float = 0.0,
) -> Batch:
    """Return a batch on a fresh canvas, for tests of strategies.

    Unless given, the model has 32 tokens, of which 0 is EOS and 1 the mask, and is never right.
    """
    if denoiser is None:
        denoiser = FakeDenoiser(lambda row, ids, column: [0.0] * 32, 32, mask_id=1, eos_ids=(0,))
    canvas = Canvas(denoiser, prompts, gen_length, width, denoiser.device)
    active = torch.ones(len(prompts), dtype=torch.bool)
    seeds = torch.arange(len(prompts))
    return Batch(denoiser, canvas, seeds, temperature, Recorder(canvas, False), active)


def step_of(
    node0: Tensor, masked: Tensor, scores: Scores, policy: Policy, committed: Tensor
) -> Step:
    """Return a policy's step from the state that it reached, for tests of drafters.

    What was masked before it is not known and taken to be what is masked now.
    """
    return Step(node0, masked, scores, node0, masked, committed, policy)


Table = dict[str, dict[int, tuple[float, ...]]]


class TableDenoiser:
    """A denoiser that looks its logits up, for tests whose every number is written down.

    A state of the generated positions is a text: `_` is masked, `.` the end of the sequence, and
    `a`, `b`, ... are tokens 2, 3, .... `table[state][position]` holds the logits of (`.`, `a`, `b`,
    ...). The mask token always has the largest logit, so that a decoder that forgets to ban it
    fails. Attention is bidirectional: a state is the whole canvas.

    Example: in the state `_b` token `a` is likelier than the end::

        {"_b": {0: (0.0, 2.0, 1.0)}}
    """

    mask_id, eos_ids = 1, (0,)
    sees_future, causal_context, shift, absolute_blocks = True, False, False, False
    device = torch.device("cpu")

    def __init__(self, table: Table):
        self.table = table
        self.length = len(next(iter(table)))
        self.vocab_size = 1 + max(len(row) for at in table.values() for row in at.values())
        self.asked: list[list[str]] = []

    def logits(
        self, ids: Tensor, positions: Tensor, visible: Tensor, row: Tensor, column: Tensor
    ) -> Tensor:
        """Return the logits `[n, V]` of the asked positions, and note the states in `asked`."""
        begin = ids.shape[1] - self.length
        states = [self.text(state) for state in ids[:, begin:].tolist()]
        self.asked.append(states)
        asked = zip(row.tolist(), column.tolist(), strict=True)
        rows = [self.table[states[r]][c - begin] for r, c in asked]
        return torch.tensor([(end, 99.0, *others) for end, *others in rows])

    def text(self, tokens: list[int]) -> str:
        """Write tokens as the table does."""
        return "".join("._abcdefghijklmnopqrstuvwxyz"[token] for token in tokens)


def table_model(table: Table, block_length: int) -> Model:
    """Return a model with a `TableDenoiser` for the table."""
    facts = replace(FAMILIES["llada"], sees_future=True, absolute_blocks=False)
    denoiser = TableDenoiser(table)
    tokenizer = tiny_tokenizer(denoiser.vocab_size)
    network = cast(NetworkDenoiser, denoiser)  # for decoding it is one
    return Model("table", network, tokenizer, facts, block_length, 256, "table")
