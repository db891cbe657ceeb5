"""How good a checkpoint is: accuracy and tokens per forward on fixed items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psd_lib
from psd_lab import tasks
from psd_lab.caches import exact_cache
from psd_lab.report.stats import wilson

DECODERS: tuple[dict[str, Any], ...] = (
    {"decoder": "greedy"},
    {"decoder": "confidence", "threshold": 0.9},
    {"decoder": "top_k", "k": 8},
)
AUTOREGRESSIVE = ({"decoder": "left_to_right"},)


def evaluate(folder: Path, names: Sequence[str], limit: int) -> list[dict[str, Any]]:
    """Score the model in `folder` on the first `limit` test items of each task in `names`.

    The decoders are greedy, confidence 0.9 and top-8; left to right for an autoregressive model.

    Returns:
        One record for each task and decoder: n and correct (an item that could not be scored counts
        in neither), accuracy with its 95 % Wilson interval (low, high), tpf (tokens before
        end-of-text per forward) and the mean number of tokens.
    """
    model = psd_lib.load(folder)
    decoders = AUTOREGRESSIVE if model.block_length == 1 else DECODERS
    cache = exact_cache(model.family)
    records = []
    for name in names:
        task = tasks.get(name)
        items = task.load("test", limit)
        for options in decoders:
            out = psd_lib.generate(
                model,
                [item.prompt for item in items],
                batch_size=32,
                gen_length=task.gen_length,
                cache=cache,
                **options,
            )
            scores = task.score_many(zip(out.text, items, strict=True))
            right = [bool(score.correct) for score in scores if score.correct is not None]
            records.append(
                {
                    "task": name,
                    "decoder": out.config.label,
                    "block": model.block_length,
                    "split": "test",
                    **proportion(right),
                    "tpf": round(out.tpf, 3),
                    "tokens": round(sum(one.n_tokens for one in out) / len(out), 1),
                }
            )
    return records


def proportion(right: Sequence[bool]) -> dict[str, Any]:
    """Return n, correct, and the share of correct items with its 95 % Wilson interval."""
    estimate = wilson(sum(right), len(right))
    return {
        "n": len(right),
        "correct": sum(right),
        "accuracy": round(estimate.value, 4),
        "low": round(estimate.low, 4),
        "high": round(estimate.high, 4),
    }
