"""Decoding what is missing: batches of examples in, scored rows out, appended batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from psd_lab.noise import noise_index
from psd_lab.runs.checkpoints import CheckpointRef, checkpoint
from psd_lab.runs.config import ROW_VERSION, config_hash, digest
from psd_lab.runs.rows import Key, Row
from psd_lab.runs.store import RowSet, RunFile
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lab.tasks import Example, Score, Task
    from psd_lib import generation
    from psd_lib.decoding import DecodeConfig

BATCH_SIZE = 16
CRASHES_IN_A_ROW = 5


def second_model(config: DecodeConfig) -> Any:
    """Return the name of a decoder's second model, or the model itself, None if it has none.

    The only place that knows which field holds it: a strategy whose field is called otherwise would
    share rows between models.
    """
    return getattr(config.policy, "judge", None) or getattr(config.builder, "draft", None)


@dataclass(frozen=True)
class WorkItem:
    """One model with one decoder on the first `examples` of one task: what shares a config hash."""

    model: CheckpointRef
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

        Profile, second model and dtype enter it only where they are set, so that rows written
        earlier keep their names. Scoring rules do not: when they change, stored completions are
        scored again.
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
        """Fingerprint of the decoder's second model; None if it has none."""
        chosen = second_model(self.config)
        return chosen and (checkpoint(chosen) if isinstance(chosen, str) else chosen).fingerprint

    @property
    def keys(self) -> list[Key]:
        """The keys of all rows of the item."""
        return [(self.hash, example.id) for example in self.examples]

    def missing(self, found: RowSet) -> list[Example]:
        """Return the examples that `found` has no row for."""
        return [one for one in self.examples if (self.hash, one.id) not in found.rows]

    def batches(self, found: RowSet, size: int = BATCH_SIZE) -> Iterator[Batch]:
        """Yield the missing examples in batches of similar prompt length."""
        missing = sorted(self.missing(found), key=lambda one: (len(one.prompt), one.id))
        for start in range(0, len(missing), size):
            yield Batch(self, missing[start : start + size])

    def outdated(self, found: RowSet) -> list[Row]:
        """Return the rows to score again: those whose scorer failed, and those of another version
        of the scoring rules.
        """
        rows = [found.rows[key] for key in self.keys if key in found.rows]
        version = self.task.version
        return [
            row for row in rows if row["correct"] is None or row.get("postprocessing") != version
        ]

    def decode(self, examples: Sequence[Example]) -> list[generation.Sequence]:
        """Decode examples in one batch. Sampling noise belongs to the example, not to the batch."""
        from psd_lib import generate

        model = self.model.load()
        prompts = self.task.prompts(examples, model)
        index = [noise_index(example.id) for example in examples]
        return list(
            generate(model, prompts, config=self.config, batch_size=len(prompts), index=index)
        )

    def describe(self) -> Row:
        """Return what all rows of the item say."""
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
class BackoffState:
    """How a run goes: the batch size that memory allows, and crashes since the last good batch."""

    size: int = BATCH_SIZE
    crashes: int = 0


@dataclass(frozen=True)
class Batch:
    """Examples of a work item that are decoded together."""

    work: WorkItem
    examples: Sequence[Example]

    def run(self, file: RunFile, state: BackoffState | None = None) -> list[Row]:
        """Decode and score the examples and append their rows, which are also returned.

        Where memory does not suffice the batch is halved, for the following batches too. Where
        anything else fails its halves are tried apart, until the example that fails is alone: it
        gets a record of the error instead of a row.

        Raises:
            UserError: The input is bad, or one example after the other fails.
        """
        state, examples = state or BackoffState(), self.examples
        if len(examples) > state.size:
            return self._parts(file, state, state.size)
        try:
            rows = self._rows()
        except UserError:
            raise
        except Exception as error:
            if out_of_memory(error) and len(examples) > 1:
                state.size = max(1, len(examples) // 2)
                free_memory()
            if len(examples) > 1:
                return self._parts(file, state, (len(examples) + 1) // 2)
            self._quarantine(error, file, state)
            return []
        state.crashes = 0
        file.append(rows)
        return rows

    def _parts(self, file: RunFile, state: BackoffState, size: int) -> list[Row]:
        parts = [
            self.examples[start : start + size] for start in range(0, len(self.examples), size)
        ]
        return [row for part in parts for row in Batch(self.work, part).run(file, state)]

    def _rows(self) -> list[Row]:
        sequences = self.work.decode(self.examples)
        scores = self.work.task.score_many(
            [(s.text, e) for s, e in zip(sequences, self.examples, strict=True)]
        )
        return [self._row(*parts) for parts in zip(self.examples, sequences, scores, strict=True)]

    def _quarantine(self, error: Exception, file: RunFile, state: BackoffState) -> None:
        state.crashes += 1
        (example,) = self.examples
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
        file.append([{**self.work.describe(), "example_id": example.id, "crash": reason}])
        if state.crashes >= CRASHES_IN_A_ROW:
            raise UserError(
                f"{state.crashes} items in a row could not be decoded with"
                f" {self.work.config.label}, so it is not the fault of one item ({reason}); rows so"
                " far are kept, run again once the cause is gone."
            ) from error

    def _row(self, example: Example, sequence: generation.Sequence, score: Score) -> Row:
        iterations = sequence.trace.iterations
        return {
            **self.work.describe(),
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
    """Return rescored rows that replace the stored ones: `judged` counts the judgements,
    `postprocessing` names the version.
    """
    version = {"postprocessing": task.version}
    return [
        {**row, **version, "judged": row.get("judged", 0) + 1}
        for row in rescore(rows, task, examples)
    ]


def out_of_memory(error: Exception) -> bool:
    """Return whether a device, or the host, had no memory left."""
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
