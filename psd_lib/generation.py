"""Text in, text out: `generate` checks prompts, batches them, runs the one loop and wraps what it
recorded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import transformers

from psd_lib.decoding import DecodeConfig, Ledger, Recording, decode
from psd_lib.decoding.checks import at_least
from psd_lib.errors import UserError
from psd_lib.models import Model

Progress = Callable[[list[list[int]]], Iterable[list[int]]]


@dataclass(frozen=True)
class Trace:
    """Who committed what, when: arrays over the generated positions `[G]`, -1 where nothing was
    committed.

    `step` is the policy step (0-based), `iteration` the loop iteration, `depth` 0 for the policy's
    own step and j for the j-th accepted draft of the iteration, `confidence` the probability at
    commit. `iterations` has one dict per iteration (block, accepted, drafted, rows, committed);
    `scores` one dict per iteration when they were recorded (positions, token, confidence, margin,
    entropy of what was still masked in the block before the iteration's policy step).
    """

    tokens: np.ndarray
    text_tokens: list[str]
    step: np.ndarray
    iteration: np.ndarray
    depth: np.ndarray
    confidence: np.ndarray
    iterations: list[dict[str, int]]
    scores: list[dict[str, np.ndarray]]


@dataclass(frozen=True)
class Sequence:
    """One decoded prompt. `tokens` are the ids before the first EOS; `nfe` counts the calls that it
    took part in, `rows` its guessed states in them, `query_tokens` the tokens of these rows;
    `second_nfe` and `second_query_tokens` count a second model's (APD's judge, a draft model),
    which the others leave out; `model_ms` and `loop_ms` are its share of everybody's time."""

    prompt_text: str
    text: str
    tokens: list[int]
    stopped: str
    nfe: int
    rows: int
    query_tokens: int
    second_nfe: int
    second_query_tokens: int
    model_ms: float
    loop_ms: float
    label: str
    trace: Trace

    @property
    def n_tokens(self) -> int:
        """Generated tokens before the first EOS."""
        return len(self.tokens)

    @property
    def tpf(self) -> float:
        """Tokens per forward: tokens before the first EOS / calls of the model."""
        return self.n_tokens / self.nfe

    def __repr__(self) -> str:
        return (
            f"Sequence({self.label}: {self.n_tokens} tokens, {self.nfe} forwards, TPF"
            f" {self.tpf:.2f}, {self.text!r})"
        )

    def _repr_html_(self) -> str:
        from psd_lib.viewer import trace_html

        return trace_html(self)


@dataclass(frozen=True)
class Generation:
    """The decoded prompts in their given order; `out[i]` is a Sequence and shows itself in a
    notebook.
    """

    sequences: list[Sequence]
    config: DecodeConfig
    ledger: Ledger

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> Sequence:
        return self.sequences[index]

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self.sequences)

    @property
    def text(self) -> list[str]:
        """Completions before the first EOS."""
        return [sequence.text for sequence in self.sequences]

    @property
    def trace(self) -> list[Trace]:
        """One trace per prompt."""
        return [sequence.trace for sequence in self.sequences]

    @property
    def tpf(self) -> float:
        """Tokens per forward over all prompts: sum of tokens before EOS / sum of each prompt's
        calls.
        """
        return sum(sequence.n_tokens for sequence in self) / sum(sequence.nfe for sequence in self)

    def _repr_html_(self) -> str:
        return "\n".join(sequence._repr_html_() for sequence in self)


def generate(
    model: Model,
    prompts: str | list[str] | list[list[int]],
    decoder: str = "psd",
    *,
    batch_size: int = 16,
    progress: bool | Progress = False,
    record_scores: bool = False,
    config: DecodeConfig | None = None,
    index: list[int] | None = None,
    **options,
) -> Generation:
    """Decode prompts (text or token ids) with a decoder by name and its options, or with a ready
    `config`.

    Options: policy, builder, acceptor, stop and what these have (k, threshold, depth, eager, graph,
    ...), as far as the decoder leaves them open, and block_length, gen_length, temperature, seed,
    cache. Batches are formed by prompt length and do not change the outputs; `index` numbers the
    prompts for the noise at temperature > 0 (0, 1, ... unless given). `progress` shows a bar over
    the batches, or is a function that wraps their list. Raises UserError for unknown names,
    impossible values, and prompts that are empty, contain the mask token or do not fit the model's
    positions together with gen_length.
    """
    if config is not None and options:
        raise UserError(f"give either a config or options, not both (got {', '.join(options)}).")
    config = config or DecodeConfig.make(decoder, **options)
    at_least("batch_size", batch_size, 1)
    attached = config.attach(model)
    ids = encode(model, prompts, config.gen_length)
    block_length = resolve_block_length(model, config)
    index = list(range(len(ids))) if index is None else index
    if len(index) != len(ids):
        raise UserError(
            f"index must have one number per prompt, got {len(index)} for {len(ids)} prompts."
        )
    batches = [
        (
            batch,
            _decode(
                model,
                [ids[i] for i in batch],
                attached,
                block_length,
                [index[i] for i in batch],
                record_scores,
            ),
        )
        for batch in _batches(ids, batch_size, progress, config.label)
    ]
    found: dict[int, Sequence] = {}
    ledger = Ledger()
    for batch, recording in batches:
        ledger = ledger + recording.ledger
        for row, at in enumerate(batch):
            found[at] = _sequence(model, ids[at], recording, row, config.label)
    return Generation([found[i] for i in range(len(ids))], config, ledger)


def encode(
    model: Model, prompts: str | list[str] | list[list[int]], gen_length: int
) -> list[list[int]]:
    """Token ids of checked prompts."""
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not prompts:
        raise UserError("no prompts: give at least one.")
    ids = [model.encode(prompt) if isinstance(prompt, str) else list(prompt) for prompt in prompts]
    for index, prompt in enumerate(ids):
        if not prompt:
            raise UserError(f"prompt {index} is empty: give at least one token.")
        if model.mask_id in prompt:
            token = model.tokenizer.convert_ids_to_tokens(model.mask_id)
            raise UserError(
                f"prompt {index} contains the mask token {token}, which stands for undecided"
                " positions; remove it."
            )
        if min(prompt) < 0 or max(prompt) >= model.denoiser.vocab_size:
            raise UserError(
                f"prompt {index} has token ids outside 0..{model.denoiser.vocab_size - 1}."
            )
        if len(prompt) + gen_length > model.max_positions:
            raise UserError(
                f"prompt {index} has {len(prompt)} tokens, which with gen_length {gen_length}"
                f" exceeds the model's {model.max_positions} positions; shorten it or lower"
                " gen_length."
            )
    return ids


def resolve_block_length(model: Model, config: DecodeConfig) -> int:
    """The block length in force; warns when the last block has to be shorter."""
    length = model.block_length if config.block_length is None else config.block_length
    if not model.family.absolute_blocks and config.gen_length % length:
        warnings.warn(
            f"block_length {length} does not divide gen_length {config.gen_length}: the last block"
            " is shorter.",
            stacklevel=3,
        )
    return length


def _batches(
    ids: list[list[int]], size: int, progress: bool | Progress, label: str
) -> Iterable[list[int]]:
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    batches = [order[at : at + size] for at in range(0, len(order), size)]
    if callable(progress):
        return progress(batches)
    return transformers.utils.logging.tqdm(batches, desc=label) if progress else batches


def _decode(
    model: Model,
    ids: list[list[int]],
    config: DecodeConfig,
    block_length: int,
    index: list[int],
    record_scores: bool,
) -> Recording:
    return decode(
        model.denoiser,
        ids,
        config,
        block_length,
        model.family.absolute_blocks,
        model.denoiser.device,
        index,
        record_scores,
    )


def _sequence(
    model: Model, prompt: list[int], recording: Recording, row: int, label: str
) -> Sequence:
    tokens = recording.tokens[row]
    ends = np.flatnonzero(np.isin(tokens, model.denoiser.eos_ids))
    before = tokens[: ends[0]] if len(ends) else tokens
    kept = [int(token) for token in before]
    lasted = recording.per_iteration["active"][:, row]
    iterations = [
        {
            name: int(values[t, row])
            for name, values in recording.per_iteration.items()
            if name != "active"
        }
        for t in np.flatnonzero(lasted)
    ]
    text = [model.tokenizer.decode([int(token)]) if token >= 0 else "" for token in tokens]
    maps = {
        name: getattr(recording, name)[row] for name in ("step", "iteration", "depth", "confidence")
    }
    trace = Trace(tokens, text, **maps, iterations=iterations, scores=_scores(recording, row))
    return Sequence(
        model.tokenizer.decode(prompt),
        model.tokenizer.decode(kept),
        kept,
        "eos" if len(ends) else "length",
        int(recording.nfe[row]),
        int(recording.rows[row]),
        int(recording.query_tokens[row]),
        int(recording.second_nfe[row]),
        int(recording.second_query_tokens[row]),
        float(recording.model_ms[row]),
        float(recording.loop_ms[row]),
        label,
        trace,
    )


def _scores(recording: Recording, row: int) -> list[dict[str, np.ndarray]]:
    found = []
    for iteration, entry in enumerate(recording.scores):
        masked = entry["masked"][row]
        if masked.any():
            values = {name: value[row][masked] for name, value in entry.items() if name != "masked"}
            found.append({"iteration": iteration, **values})
    return found
