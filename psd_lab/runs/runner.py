"""Decoding what is missing: batches of examples in, scored rows out, appended batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zlib import crc32

from psd_lab.runs.config import ROW_VERSION, config_hash, digest
from psd_lab.runs.sources import Source, source
from psd_lab.runs.store import Attempt, Contents, Row
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lab.tasks import Example, Score, Task
    from psd_lib import generation
    from psd_lib.decoding import DecodeConfig

BATCH_SIZE = 16
CRASHES_IN_A_ROW = 5
NOISES = 1 << 20  # what the loop keeps apart of the seed


@dataclass(frozen=True)
class Unit:
    """One model with one decoder on the first `examples` of one task: what shares a config hash."""

    model: Source
    task: Task
    split: str
    config: DecodeConfig
    examples: Sequence[Example]

    @cached_property
    def data_hash(self) -> str:
        """Name of the content of the task's file."""
        return self.task.data_hash(self.split)

    @cached_property
    def hash(self) -> str:
        """Name of everything that decides the rows besides the example.

        What a task leaves out (a profile), a second model that there is not and the usual dtype are
        not part of it. Nor is how completions are judged: a new version of that judges the stored
        completions again.
        """
        dtype = None if self.model.dtype == "float32" else self.model.dtype
        return config_hash(
            self.model.fingerprint,
            self.task.name,
            self.split,
            self.data_hash,
            self.config.to_dict(),
            dtype=dtype,
            profile=self.task.profile,
            second=self.second,
        )

    @cached_property
    def second(self) -> str | None:
        """Fingerprint of the decoder's second model, a judge or a draft model; None if it has none."""
        chosen = getattr(self.config.policy, "judge", None) or getattr(
            self.config.builder, "draft", None
        )
        return chosen and (source(chosen) if isinstance(chosen, str) else chosen).fingerprint

    def batches(self, contents: Contents, size: int = BATCH_SIZE) -> Iterator[Batch]:
        """Yield the examples that `contents` has no row for, in batches of similar prompt length."""
        missing = [
            example for example in self.examples if (self.hash, example.id) not in contents.rows
        ]
        missing.sort(key=lambda example: (len(example.prompt), example.id))
        for start in range(0, len(missing), size):
            yield Batch(self, missing[start : start + size])

    def outdated(self, contents: Contents) -> list[Row]:
        """The rows to judge again: those whose judge failed, and those of another version of the
        post-processing.
        """
        rows = [
            contents.rows[key]
            for example in self.examples
            if (key := (self.hash, example.id)) in contents.rows
        ]
        return [
            row
            for row in rows
            if row["correct"] is None or row.get("postprocessing") != self.task.version
        ]

    def decode(self, examples: Sequence[Example]) -> list[generation.Sequence]:
        """Decode examples in one batch. Sampling noise belongs to the example, whatever batch it is
        in.
        """
        from psd_lib import generate

        model = self.model.load()
        prompts = self.task.prompts(examples, model)
        index = [crc32(example.id.encode()) % NOISES for example in examples]
        return list(
            generate(model, prompts, config=self.config, batch_size=len(prompts), index=index)
        )

    def describe(self) -> Row:
        """What all rows of the unit say."""
        model, task = self.model, self.task
        return {
            "version": ROW_VERSION,
            "config_hash": self.hash,
            "model": model.name,
            "model_fingerprint": model.fingerprint,
            "model_family": model.family.model_type,
            "dtype": model.dtype,
            "task": task.name,
            "split": self.split,
            "data_hash": self.data_hash,
            "profile": task.profile,
            "postprocessing": task.version,
            "decoder": self.config.decoder,
            "label": self.config.label,
            "decode": self.config.to_dict(),
            "exact": self.config.exact,
            **({"second_fingerprint": self.second} if self.second else {}),
        }


@dataclass
class Pace:
    """How the runs of one attempt go: the batch size that memory allows, and crashes since the last
    good batch.
    """

    size: int = BATCH_SIZE
    crashes: int = 0


@dataclass(frozen=True)
class Batch:
    """Examples of a unit that are decoded together."""

    unit: Unit
    examples: Sequence[Example]

    def run(self, attempt: Attempt, pace: Pace | None = None) -> list[Row]:
        """Decode and score the examples and append their rows, which also returns them.

        Where memory does not suffice the batch is halved, for the following batches too. Where
        anything else fails its halves are tried apart, until the example that fails is alone: it
        gets a record of the error instead of a row. Raises UserError for bad input, and when one
        example after the other fails.
        """
        pace, examples = pace or Pace(), self.examples
        if len(examples) > pace.size:
            return self._parts(attempt, pace, pace.size)
        try:
            rows = self._rows()
        except UserError:
            raise
        except Exception as error:
            if out_of_memory(error) and len(examples) > 1:
                pace.size = max(1, len(examples) // 2)
                free_memory()
            if len(examples) > 1:
                return self._parts(attempt, pace, (len(examples) + 1) // 2)
            self._quarantine(error, attempt, pace)
            return []
        pace.crashes = 0
        attempt.append(rows)
        return rows

    def _parts(self, attempt: Attempt, pace: Pace, size: int) -> list[Row]:
        parts = [
            self.examples[start : start + size] for start in range(0, len(self.examples), size)
        ]
        return [row for part in parts for row in Batch(self.unit, part).run(attempt, pace)]

    def _rows(self) -> list[Row]:
        sequences = self.unit.decode(self.examples)
        scores = self.unit.task.score_many(
            [(s.text, e) for s, e in zip(sequences, self.examples, strict=True)]
        )
        return [self._row(*parts) for parts in zip(self.examples, sequences, scores, strict=True)]

    def _quarantine(self, error: Exception, attempt: Attempt, pace: Pace) -> None:
        pace.crashes += 1
        (example,) = self.examples
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        attempt.append([{**self.unit.describe(), "example_id": example.id, "crash": said}])
        if pace.crashes >= CRASHES_IN_A_ROW:
            raise UserError(
                f"{pace.crashes} items in a row could not be decoded with {self.unit.config.label},"
                f" which is no accident of an item ({said}); rows so far are kept, run again once"
                " the cause is gone."
            ) from error

    def _row(self, example: Example, sequence: generation.Sequence, score: Score) -> Row:
        iterations = sequence.trace.iterations
        return {
            **self.unit.describe(),
            "example_id": example.id,
            "completion": sequence.text,
            "tokens": sequence.n_tokens,
            "token_ids_hash": digest(sequence.tokens),
            **_verdict(score),
            "nfe": sequence.nfe,
            "rows": sequence.rows,
            "query_tokens": sequence.query_tokens,
            "second_nfe": sequence.second_nfe,
            "second_query_tokens": sequence.second_query_tokens,
            "model_ms": round(sequence.model_ms, 3),
            "loop_ms": round(sequence.loop_ms, 3),
            "stopped": sequence.stopped,
            "step_stats": {
                name: [iteration[name] for iteration in iterations]
                for name in ("accepted", "drafted", "committed", "block")
            },
        }


def rescore(rows: Sequence[Row], task: Task, examples: Sequence[Example]) -> list[Row]:
    """Score the completions of rows again: the same rows with fresh `correct`, `answer` and
    `reason`.
    """
    known = {example.id: example for example in examples}
    scores = task.score_many([(row["completion"], known[row["example_id"]]) for row in rows])
    return [{**row, **_verdict(score)} for row, score in zip(rows, scores, strict=True)]


def refresh(rows: Sequence[Row], task: Task, examples: Sequence[Example]) -> list[Row]:
    """Rescored rows that replace the stored ones: `judged` counts the judgements, `postprocessing`
    names the version.
    """
    version = {"postprocessing": task.version}
    return [
        {**row, **version, "judged": row.get("judged", 0) + 1}
        for row in rescore(rows, task, examples)
    ]


def out_of_memory(error: Exception) -> bool:
    """Whether a device, or the host, had no memory left."""
    import torch

    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "out of memory" in str(error).lower()
    )


def free_memory() -> None:
    """Give back what the allocator of a GPU keeps, which a failed call leaves in pieces."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _verdict(score: Score) -> dict[str, Any]:
    more = {"answers": score.answers, "details": score.details}
    verdict = {"correct": score.correct, "answer": score.answer, "reason": score.reason}
    return verdict | {name: value for name, value in more.items() if value is not None}
