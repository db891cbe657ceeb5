"""Decoding what is missing, batch by batch, and scoring what was decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
    from psd_lib import DecodeConfig, generation

BATCH_SIZE = 16
CRASHES_IN_A_ROW = 5
HASHES = {"data_hash", "second", "hash"}  # cached properties of a work item


@dataclass(frozen=True)
class WorkItem:
    """One model with one decoder on `examples` of one task: what shares a config hash."""

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
        """Fingerprint of the decoder's second model, whatever its field is called; None if none."""
        chosen = [model for model in self.config.second_models().values() if model is not None]
        refs = [checkpoint(one) if isinstance(one, str) else one for one in chosen]
        return "+".join(one.fingerprint for one in refs) or None

    @property
    def keys(self) -> list[Key]:
        """The keys of all rows of the item."""
        return [(self.hash, example.id) for example in self.examples]

    @property
    def shard(self) -> str:
        """Name of this very piece of work: its rows, whoever computes them."""
        return digest(self.keys)

    def with_examples(self, examples: Sequence[Example]) -> WorkItem:
        """Return the same work on other examples."""
        other = replace(self, examples=examples)
        # What was computed from the rest still holds, and reads whole files.
        known = {name: self.__dict__[name] for name in self.__dict__.keys() & HASHES}
        other.__dict__.update(known)
        return other

    def slices(self, size: int) -> Iterator[WorkItem]:
        """Yield the work in pieces of `size` examples, the first ones first."""
        for start in range(0, len(self.examples), size):
            yield self.with_examples(self.examples[start : start + size])

    def missing(self, found: RowSet) -> list[Example]:
        """Return the examples that `found` has no completion for."""
        return [one for one in self.examples if found.completion((self.hash, one.id)) is None]

    def batches(self, examples: Sequence[Example], size: int = BATCH_SIZE) -> Iterator[Batch]:
        """Yield examples in batches of similar prompt length."""
        ordered = sorted(examples, key=lambda one: (len(one.prompt), one.id))
        for start in range(0, len(ordered), size):
            yield Batch(self, ordered[start : start + size])

    def outdated(self, found: RowSet) -> list[Row]:
        """Return what to score: completions without a verdict, those whose scorer failed, and those
        of another version of the scoring rules.
        """
        return [
            row
            for row in map(found.completion, self.keys)
            if row is not None
            and (row.get("correct") is None or row.get("postprocessing") != self.task.version)
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

    def run(self, file: RunFile, state: BackoffState | None = None) -> None:
        """Decode the examples and append their completions.

        Where memory does not suffice the batch is halved, for the following batches too. Where
        anything else fails its halves are tried apart, until the example that fails is alone: it
        gets a record of the error instead of a completion.

        Raises:
            UserError: The input is bad, or one example after the other fails.
        """
        state, examples = state or BackoffState(), self.examples
        if len(examples) > state.size:
            self._parts(file, state, state.size)
            return
        try:
            file.begin(self.work.hash, [example.id for example in examples])
            sequences = self.work.decode(examples)
        except UserError:
            raise
        except Exception as error:
            if out_of_memory(error) and len(examples) > 1:
                state.size = max(1, len(examples) // 2)
                free_memory()
            if len(examples) > 1:
                self._parts(file, state, (len(examples) + 1) // 2)
            else:
                self._quarantine(error, file, state)
            return
        state.crashes = 0
        described = self.work.describe()
        file.append(
            {**described, **generation_row(*one)} for one in zip(examples, sequences, strict=True)
        )

    def _parts(self, file: RunFile, state: BackoffState, size: int) -> None:
        for start in range(0, len(self.examples), size):
            Batch(self.work, self.examples[start : start + size]).run(file, state)

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


def generation_row(example: Example, sequence: generation.Sequence) -> Row:
    """Return what a row says of one decoded example."""
    iterations = sequence.trace.iterations
    return {
        "example_id": example.id,
        "completion": sequence.text,
        "tokens": sequence.n_tokens,
        "token_ids_hash": digest(sequence.tokens),
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


def verdict_rows(rows: Sequence[Row], task: Task, examples: Sequence[Example]) -> list[Row]:
    """Score the completions of rows, which may have a verdict already.

    Returns:
        The verdicts as rows of their own; `judged` counts those that came before.
    """
    known = {example.id: example for example in examples}
    scores = task.score_many([(row["completion"], known[row["example_id"]]) for row in rows])
    return [
        {name: row[name] for name in ("config_hash", "example_id", "token_ids_hash")}
        | _verdict(score)
        | {"postprocessing": task.version}
        | ({"judged": row.get("judged", 0) + 1} if "correct" in row else {})
        for row, score in zip(rows, scores, strict=True)
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
