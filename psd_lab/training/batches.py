"""Training data: rows of token ids from the task streams, in batches of similar length.

Every batch is a pure function of (seed, step): resuming needs a step number and no generator state.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast

from psd_lab import tasks
from psd_lab.tasks import Example

CHUNK_ROWS = 768
LONGEST_BLOCK = 32


@dataclass(frozen=True)
class Row:
    """One training example in tokens; `answer` ends with the end-of-text token."""

    prompt: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True)
class Batch:
    """Rows of one step, padded on the right with end-of-text.

    `ids` [R, L] are tokens, `prompts` [R] the lengths of the prompts, `lengths` [R] those of prompt
    and answer with its end-of-text.
    """

    ids: torch.Tensor
    prompts: torch.Tensor
    lengths: torch.Tensor

    def part(self, rank: int, ranks: int) -> Batch:
        """Return the rows of process `rank` of `ranks`: every `ranks`-th one."""
        return Batch(self.ids[rank::ranks], self.prompts[rank::ranks], self.lengths[rank::ranks])

    def to(self, device: str) -> Batch:
        """Return the same batch on `device`."""
        return Batch(self.ids.to(device), self.prompts.to(device), self.lengths.to(device))


def drill(rng: random.Random) -> Example:
    """Draw two to six sums, differences and products with their results, as in mini-gsm."""
    left, right = [], []
    for _ in range(rng.randint(2, 6)):
        sign = rng.choice("+-*")
        high = rng.choice((20, 100, 100))
        a, b = (
            (rng.randint(2, 15), rng.randint(2, 12))
            if sign == "*"
            else (rng.randint(1, high), rng.randint(1, high))
        )
        if sign == "-" and b > a:
            a, b = b, a
        if sign == "*" and rng.random() < 0.5:
            a, b = b, a
        result = a + b if sign == "+" else a - b if sign == "-" else a * b
        left.append(f"{a}{sign}{b}")
        right.append(f"{left[-1]}={result}")
    return Example("drill", "Compute " + ", ".join(left) + ".\n", "\n".join(right) + "\n", {})


def examples(
    names: Sequence[str], seed: int, drills: float, mixture: Sequence[float] | None = None
) -> Iterator[Example]:
    """Yield an endless seeded mixture of arithmetic drills and task examples.

    A share `drills` are drills; the others come from the tasks `names` in the proportions `mixture`
    (equal parts if None).
    """
    rng = random.Random(seed)
    streams = [tasks.get(name).stream(seed) for name in names]
    while True:
        yield drill(rng) if rng.random() < drills else next(rng.choices(streams, mixture)[0])


class Batches:
    """The endless example mixture, cut into batches of about `tokens` padded tokens each.

    Rows are drawn in chunks, sorted by length inside a chunk, and the batches of a chunk are
    shuffled. Rows longer than `positions` are left out. Up to `tail` further blocks of end-of-text
    follow a batch's longest row.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        names: Sequence[str],
        seed: int,
        tokens: int,
        positions: int,
        tail: int = 0,
    ) -> None:
        self.tokenizer, self.names, self.seed = tokenizer, names, seed
        self.tokens, self.positions, self.tail = tokens, positions, tail

    def fingerprint(self) -> str:
        """Return 12 hex digits of the sha256 of the mixture's first `CHUNK_ROWS` examples."""
        digest = hashlib.sha256()
        for example in itertools.islice(examples(self.names, self.seed, 0.5), CHUNK_ROWS):
            digest.update(f"{example.prompt}\0{example.reference}\0".encode())
        return digest.hexdigest()[:12]

    def chunk(
        self, number: int, drills: float, mixture: Sequence[float] | None = None
    ) -> list[Batch]:
        """Return the batches of chunk `number`, in the order of training."""
        seed = self.seed * 1_000_003 + number
        drawn = list(itertools.islice(examples(self.names, seed, drills, mixture), CHUNK_ROWS))
        prompts = self.tokenizer([e.prompt for e in drawn], add_special_tokens=False)["input_ids"]
        answers = self.tokenizer([e.reference for e in drawn], add_special_tokens=False)[
            "input_ids"
        ]
        eos = self.tokenizer.eos_token_id
        rows = [Row(p, [*a, eos]) for p, a in zip(prompts, answers, strict=True)]
        rows = sorted((row for row in rows if len(row) <= self.positions), key=len)
        batches, rng = [], random.Random(seed)
        while rows:
            tail = LONGEST_BLOCK * rng.randint(0, self.tail) if self.tail else 0
            count = max(2, self.tokens // (len(rows[-1]) + tail) // 2 * 2)
            batches.append(self._pad(rows[-count:], tail))
            del rows[-count:]
        rng.shuffle(batches)
        return batches

    def _pad(self, rows: list[Row], tail: int) -> Batch:
        # A whole number of the longest blocks: decoding, too, meets a last block that ends in
        # end-of-text.
        width = min(
            self.positions,
            -(-max(len(row) for row in rows) // LONGEST_BLOCK) * LONGEST_BLOCK + tail,
        )
        ids = torch.full((len(rows), width), self.tokenizer.eos_token_id)
        for line, row in zip(ids, rows, strict=True):
            line[: len(row)] = torch.tensor(row.prompt + row.answer)
        prompts = torch.tensor([len(row.prompt) for row in rows])
        return Batch(ids, prompts, torch.tensor([len(row) for row in rows]))
