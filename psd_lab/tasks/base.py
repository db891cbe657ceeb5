"""What a task is: examples, scores, and the small interface every benchmark offers."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psd_lab.tasks.splits import SPLITS, split_of
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lab.tasks.benchmarks.protocol import Protocol
    from psd_lib.models import Model


@dataclass(frozen=True)
class Example:
    """One item: the model sees `prompt` and has to produce `reference` followed by EOS."""

    id: str
    prompt: str
    reference: str
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """A generated item before it has an id; `pattern` decides its split (see `splits.split_of`)."""

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

    `gen_length` is the default number of tokens to generate. `draw` makes one random item and is
    None for a benchmark that exists only as files; `judge` scores one completion.
    """

    name: str
    description: str
    gen_length: int
    judge: Callable[[str, Example], Score]
    draw: Callable[[random.Random], Draft] | None = None

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
        """Decides where the fixed set of a split lies; UserError on an unknown split."""
        from psd_lab.paths import TASKS, find

        if split not in SPLITS:
            raise UserError(
                f"Unknown split {split!r} of task {self.name}: use one of {', '.join(SPLITS)}."
            )
        return find(TASKS, f"{self.name}/{split}.jsonl")

    def load(self, split: str = "test", limit: int | None = None) -> list[Example]:
        """Reads the first `limit` items of a fixed set (files are already shuffled).

        Raises UserError when the split is unknown, the file is missing, or a line is not an item.
        """
        if limit is not None and limit < 1:
            raise UserError(f"limit must be at least 1 or None, not {limit}.")
        path = self.path(split)
        if not path.is_file():
            raise UserError(f"{path} does not exist: run `psd tasks {self.name}` to write it.")
        examples: list[Example] = []
        try:
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, 1):
                    if limit is not None and len(examples) == limit:
                        break
                    examples.append(_parse(line, path, number))
        except UnicodeDecodeError:
            raise UserError(f"{path} is not a text in UTF-8: restore it.") from None
        check_ids((example.id for example in examples), str(path))
        return examples

    def data_hash(self, split: str = "test") -> str:
        """Names the exact content of a fixed set: first 12 hex digits of the file's sha256."""
        path = self.path(split)
        if not path.is_file():
            raise UserError(f"{path} does not exist: run `psd tasks {self.name}` to write it.")
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]

    def stream(self, seed: int, split: str = "train") -> Iterator[Example]:
        """Generates an endless, seeded sequence of items whose patterns belong to `split`.

        The same seed and split give the same sequence on every machine. Prompts may repeat.
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
        """What a model is given for these items: their prompts as they are."""
        return [example.prompt for example in examples]

    def score(self, completion: str, example: Example) -> Score:
        """Judges one completion (decoded text before the first EOS)."""
        return self.judge(completion, example)

    def score_many(self, pairs: Iterable[tuple[str, Example]], workers: int = 2) -> list[Score]:
        """Judges (completion, example) pairs with `workers` threads; results keep the order of the
        pairs.
        """
        if workers < 1:
            raise UserError(f"workers must be at least 1, not {workers}.")
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(lambda pair: self.score(*pair), pairs))


def as_line(example: Example) -> str:
    """Writes an item as the one JSON line that `Task.load` reads."""
    return json.dumps(asdict(example), ensure_ascii=False, sort_keys=True) + "\n"


def check_ids(ids: Iterable[str], owner: str) -> None:
    """Refuse ids that are not unique, because rows are found by them. Raises UserError."""
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise UserError(f"{owner} has the id {one!r} twice: every item needs an id of its own.")
        seen.add(one)


def _parse(line: str, path: Path, number: int) -> Example:
    try:
        example = Example(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        example = None
    if (
        example is None
        or not isinstance(example.meta, dict)
        or not all(
            isinstance(text, str) for text in (example.id, example.prompt, example.reference)
        )
    ):
        raise UserError(
            f"{path} line {number} is not an item: a JSON object with the texts id, prompt and"
            " reference and the object meta is expected."
        )
    return example
