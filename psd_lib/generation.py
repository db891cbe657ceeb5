"""Text in, text out: `generate` reads prompts, batches them, and wraps what the loop recorded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any

import numpy as np
from transformers.utils import logging

import psd_lib.methods  # noqa: F401 (decoders by name: every method registers itself)
from psd_lib.core.checks import at_least
from psd_lib.core.config import DecodeConfig
from psd_lib.core.engine import decode
from psd_lib.core.ledger import Ledger
from psd_lib.core.strategy import Observer
from psd_lib.core.trace import Recording
from psd_lib.errors import UserError
from psd_lib.models import Model
from psd_lib.models.companions import attach
from psd_lib.models.prompts import encode
from psd_lib.sequence import Generation, Sequence, Trace

Progress = Callable[[list[list[int]]], Iterable[list[int]]]


def generate(
    model: Model,
    prompts: Any,
    decoder: str | None = None,
    *,
    batch_size: int = 16,
    progress: bool | Progress = False,
    record_scores: bool = False,
    config: DecodeConfig | None = None,
    index: Iterable[int] | None = None,
    observer: Observer | None = None,
    **options: Any,
) -> Generation:
    """Decode prompts with a decoder by name and its options, or with a ready config.

    Args:
        model: what `psd_lib.load` returns.
        prompts: one text or several; token ids, chat messages and what a tokenizer returns are
            read as well, see `psd_lib.models.prompts.encode`.
        decoder: a decoder's name, "psd" unless given.
        batch_size: the most prompts to decode together. Batches are formed by prompt length.
        progress: show a bar over the batches, or a function that wraps their list.
        record_scores: keep every iteration's scores in the traces.
        config: takes the place of decoder and options.
        index: numbers the prompts for the noise at temperature > 0; 0, 1, ... unless given.
        observer: looks at every step.
        options: policy, drafter, acceptor, stop and what these have (k, threshold, depth, eager,
            graph, ...), as far as the decoder leaves them open, and block_length, gen_length,
            temperature, seed, cache.

    Raises:
        UserError: names are unknown, values impossible, or prompts cannot be decoded.
    """
    if not isinstance(model, Model):
        raise UserError(f"model must be a loaded model, such as psd_lib.load(NAME), got {model!r}.")
    config = _config(config, decoder, options)
    at_least("batch_size", batch_size, 1)
    attached = attach(config, model)
    ids = encode(model, prompts, config.gen_length)
    block_length = resolve_block_length(model, config)
    numbers = _numbers(index, len(ids))
    sequences: dict[int, Sequence] = {}
    ledger = Ledger()
    for batch in _batches(ids, batch_size, progress, config.label):
        recording = decode(
            model.denoiser,
            [ids[at] for at in batch],
            attached,
            block_length=block_length,
            index=[numbers[at] for at in batch],
            record_scores=record_scores,
            observer=observer,
        )
        ledger = ledger + recording.ledger
        for row, at in enumerate(batch):
            sequences[at] = _sequence(model, ids[at], recording, row, config.label)
    return Generation([sequences[at] for at in range(len(ids))], config, ledger)


def resolve_block_length(model: Model, config: DecodeConfig) -> int:
    """Return the block length in force, and warn when the last block has to be shorter.

    Raises:
        UserError: it is longer than the model's positions.
    """
    length = model.block_length if config.block_length is None else config.block_length
    if length > model.max_positions:
        raise UserError(
            f"block_length {length} exceeds the model's {model.max_positions} positions; lower it."
        )
    if not model.denoiser.absolute_blocks and config.gen_length % length:
        warnings.warn(
            f"block_length {length} does not divide gen_length {config.gen_length}: the last block"
            " is shorter.",
            stacklevel=3,
        )
    return length


def _config(
    config: DecodeConfig | None, decoder: str | None, options: dict[str, Any]
) -> DecodeConfig:
    if config is None:
        return DecodeConfig.make("psd" if decoder is None else decoder, **options)
    if not isinstance(config, DecodeConfig):
        raise UserError(f"config must come from DecodeConfig.make, got {config!r}.")
    if options:
        raise UserError(f"give either a config or options, not both (got {', '.join(options)}).")
    if decoder not in (None, config.decoder):
        given = f"decoder is {decoder!r} and the config one of {config.decoder!r}"
        raise UserError(f"{given}; leave one of them out.")
    return config


def _numbers(index: Iterable[int] | None, prompts: int) -> list[int]:
    """Return the prompts' numbers for the noise."""
    numbers: Any = range(prompts) if index is None else index
    numbers = list(numbers) if isinstance(numbers, Iterable) else [numbers]
    if any(not isinstance(one, Integral) or isinstance(one, bool) or one < 0 for one in numbers):
        raise UserError(f"index must have whole numbers of at least 0, got {index!r}.")
    if len(numbers) != prompts:
        got = f"{len(numbers)} for {prompts} prompts"
        raise UserError(f"index must have one number per prompt, got {got}.")
    return [int(one) for one in numbers]


def _batches(
    ids: list[list[int]], size: int, progress: bool | Progress, label: str
) -> Iterable[list[int]]:
    order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
    batches = [order[at : at + size] for at in range(0, len(order), size)]
    if callable(progress):
        return progress(batches)
    return logging.tqdm(batches, desc=label) if progress else batches


def _sequence(
    model: Model, prompt: list[int], recording: Recording, row: int, label: str
) -> Sequence:
    """Return one sequence of a batch, as text and on its own."""
    tokens = recording.tokens[row]
    ends = np.flatnonzero(np.isin(tokens, model.denoiser.eos_ids))
    answer = [int(token) for token in (tokens[: ends[0]] if len(ends) else tokens)]
    return Sequence(
        prompt_text=model.decode([], prompt),
        text=model.decode(prompt, answer),
        tokens=answer,
        stopped="eos" if len(ends) else "length",
        nfe=int(recording.nfe[row]),
        rows=int(recording.rows[row]),
        query_tokens=int(recording.query_tokens[row]),
        second_nfe=int(recording.second_nfe[row]),
        second_query_tokens=int(recording.second_query_tokens[row]),
        model_ms=float(recording.model_ms[row]),
        loop_ms=float(recording.loop_ms[row]),
        label=label,
        trace=_trace(model, recording, row),
    )


def _trace(model: Model, recording: Recording, row: int) -> Trace:
    counts = dict(recording.per_iteration)
    active = np.flatnonzero(counts.pop("active")[:, row])
    scores = []
    for iteration, entry in enumerate(recording.scores):
        masked = entry["masked"][row]
        if masked.any():
            values = {name: value[row][masked] for name, value in entry.items() if name != "masked"}
            scores.append({"iteration": iteration, **values})
    # after another token, since many tokenizers drop the space at the beginning of a text
    before, tokens = [model.eos_id], recording.tokens[row]
    return Trace(
        tokens=tokens,
        text_tokens=[model.decode(before, [int(t)]) if t >= 0 else "" for t in tokens],
        step=recording.step[row],
        iteration=recording.iteration[row],
        depth=recording.depth[row],
        confidence=recording.confidence[row],
        iterations=[{name: int(of[t, row]) for name, of in counts.items()} for t in active],
        scores=scores,
    )
