"""Decoding what is missing: batches of examples in, scored rows out, appended batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from psd_lib.runs.config import ROW_VERSION, config_hash, digest
from psd_lib.runs.store import Attempt, Contents, Row

if TYPE_CHECKING:
    from psd_lib import generation
    from psd_lib.decoding import DecodeConfig
    from psd_lib.models import Model
    from psd_lib.tasks import Example, Score, Task

BATCH_SIZE = 16


@dataclass(frozen=True)
class Unit:
    """One model with one decoder on the first `examples` of one task: what shares a config hash."""

    model: Model
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
        """Name of everything that decides the rows besides the example."""
        return config_hash(self.model.fingerprint, self.task.name, self.split, self.data_hash, self.config.to_dict())

    def batches(self, contents: Contents, size: int = BATCH_SIZE) -> Iterator[Batch]:
        """Yield the examples that `contents` has no row for, in batches of similar prompt length."""
        missing = [example for example in self.examples if (self.hash, example.id) not in contents.rows]
        missing.sort(key=lambda example: (len(example.prompt), example.id))
        for start in range(0, len(missing), size):
            yield Batch(self, missing[start : start + size])


@dataclass(frozen=True)
class Batch:
    """Examples of a unit that are decoded together."""

    unit: Unit
    examples: Sequence[Example]

    def run(self, attempt: Attempt) -> list[Row]:
        """Decode and score the examples and append their rows, which also returns them."""
        from psd_lib import generate

        unit = self.unit
        prompts = [example.prompt for example in self.examples]
        sequences = list(generate(unit.model, prompts, config=unit.config, batch_size=len(prompts)))
        scores = unit.task.score_many([(s.text, e) for s, e in zip(sequences, self.examples, strict=True)])
        rows = [self._row(*parts) for parts in zip(self.examples, sequences, scores, strict=True)]
        attempt.append(rows)
        return rows

    def _row(self, example: Example, sequence: generation.Sequence, score: Score) -> Row:
        unit, iterations = self.unit, sequence.trace.iterations
        return {
            "version": ROW_VERSION,
            "config_hash": unit.hash,
            "model": unit.model.name,
            "model_fingerprint": unit.model.fingerprint,
            "task": unit.task.name,
            "split": unit.split,
            "data_hash": unit.data_hash,
            "decoder": unit.config.decoder,
            "label": unit.config.label,
            "decode": unit.config.to_dict(),
            "exact": unit.config.exact,
            "example_id": example.id,
            "completion": sequence.text,
            "tokens": sequence.n_tokens,
            "token_ids_hash": digest(sequence.tokens),
            **_verdict(score),
            "nfe": sequence.nfe,
            "rows": sequence.rows,
            "query_tokens": sequence.query_tokens,
            "model_ms": round(sequence.model_ms, 3),
            "loop_ms": round(sequence.loop_ms, 3),
            "stopped": sequence.stopped,
            "step_stats": {
                name: [iteration[name] for iteration in iterations]
                for name in ("accepted", "drafted", "committed", "block")
            },
        }


def rescore(rows: Sequence[Row], task: Task, examples: Sequence[Example]) -> list[Row]:
    """Score the completions of rows again: the same rows with fresh `correct`, `answer` and `reason`."""
    known = {example.id: example for example in examples}
    scores = task.score_many([(row["completion"], known[row["example_id"]]) for row in rows])
    return [{**row, **_verdict(score)} for row, score in zip(rows, scores, strict=True)]


def _verdict(score: Score) -> dict[str, Any]:
    return {"correct": score.correct, "answer": score.answer, "reason": score.reason}
