"""What a task is: items, scores, and the small interface that every benchmark offers."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psd_lab.tasks.items import Example, check_count, check_pairs, read
from psd_lab.tasks.splits import SPLITS, split_of
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lab.tasks.benchmarks.protocol import Protocol
    from psd_lib.models import Model


@dataclass(frozen=True)
class Draft:
    """A generated item before it has an id; `pattern` decides its split (`splits.split_of`)."""

    prompt: str
    reference: str
    pattern: tuple[str, ...]
    meta: dict[str, Any]
    atomic: bool = False


@dataclass(frozen=True)
class Score:
    """Verdict on one completion; `correct` is None when the scorer itself failed (never a zero).

    Benchmarks with several extractors put what each of them read side by side in `answers`
    (extractor -> text or None). `details` is plain data about how the verdict was reached:
    versions, each extractor's own verdict, the sandbox.
    """

    correct: bool | None
    answer: str | None
    reason: str
    answers: dict[str, str | None] | None = None
    details: dict[str, Any] | None = None


@dataclass(frozen=True)
class Task:
    """A benchmark: fixed sets on disk, a way to score, and (for generated tasks) an endless stream.

    Attributes:
        name: Its name.
        description: One line about it.
        gen_length: The default number of tokens to generate.
        judge: Scores one completion.
        draw: Makes one random item; None for a benchmark that exists only as files.
        needs: What `judge` needs in the `meta` of an item: entry -> one of `items.KINDS`.
    """

    name: str
    description: str
    gen_length: int
    judge: Callable[[str, Example], Score]
    draw: Callable[[random.Random], Draft] | None = None
    needs: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def version(self) -> str | None:
        """Name of the rules that completions are judged by, stored with every row.

        None where the rules never change: scores of such a task are never computed again.
        """
        return None

    @property
    def profile(self) -> str | None:
        """Name of the protocol profile that the task runs under; None for an embedded task."""
        return None

    @property
    def protocol(self) -> Protocol | None:
        """How the profile runs the task; None for an embedded task, which has only one way."""
        return None

    @property
    def block_length(self) -> int | None:
        """The block length that is asked of every decoder, None for the model's own."""
        return None

    def path(self, split: str) -> Path:
        """Return where the fixed set of a split lies.

        Raises:
            UserError: The split is unknown.
        """
        from psd_lab.paths import TASKS, find

        if split not in SPLITS:
            raise UserError(
                f"Unknown split {split!r} of task {self.name}: use one of {', '.join(SPLITS)}."
            )
        return find(TASKS, f"{self.name}/{split}.jsonl")

    def load(self, split: str = "test", limit: int | None = None) -> list[Example]:
        """Read the first `limit` items of a fixed set (files are already shuffled).

        Raises:
            UserError: The split is unknown, or the file is missing or holds something else.
        """
        check_count("limit", limit, optional=True)
        return read(self._file(split), self.needs, limit)

    def data_hash(self, split: str = "test") -> str:
        """Name the exact content of a fixed set: first 12 hex digits of the file's sha256."""
        return hashlib.sha256(self._file(split).read_bytes()).hexdigest()[:12]

    def _file(self, split: str) -> Path:
        path = self.path(split)
        if not path.is_file():
            raise UserError(f"{path} does not exist: run `psd tasks {self.name}` to write it.")
        return path

    def stream(self, seed: int, split: str = "train") -> Iterator[Example]:
        """Generate an endless, seeded sequence of items whose patterns belong to `split`.

        The same seed and split give the same sequence on every machine. Prompts may repeat.

        Raises:
            UserError: The split is unknown, or the task has fixed sets only.
        """
        if split not in SPLITS:
            raise UserError(
                f"Unknown split {split!r} of task {self.name}: use one of {', '.join(SPLITS)}."
            )
        if self.draw is None:
            raise UserError(f"Task {self.name} has fixed sets only and cannot generate new items.")
        return self._generate(seed, split)

    def _generate(self, seed: int, split: str) -> Iterator[Example]:
        rng = random.Random(f"{self.name}/{split}/{seed}")
        count = 0
        while True:
            draft = self.draw(rng)
            if split_of(draft.pattern, draft.atomic) != split:
                continue
            yield Example(
                f"{self.name}/{split}/{seed}/{count}",
                draft.prompt,
                draft.reference,
                {**draft.meta, "pattern": list(draft.pattern)},
            )
            count += 1

    def prompts(self, examples: Sequence[Example], model: Model) -> list[str]:
        """Return what a model is given for these items: their prompts as they are."""
        return [example.prompt for example in examples]

    def score(self, completion: str, example: Example) -> Score:
        """Judge one completion (decoded text before the first EOS)."""
        return self.score_many([(completion, example)], workers=1)[0]

    def score_many(self, pairs: Iterable[tuple[str, Example]], workers: int = 2) -> list[Score]:
        """Judge (completion, example) pairs with `workers` threads, in the order of the pairs.

        Raises:
            UserError: Something is not a pair, or an item lacks what the judge needs.
        """
        check_count("workers", workers)
        checked = check_pairs(pairs, self.needs)
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(lambda pair: self.judge(*pair), checked))
