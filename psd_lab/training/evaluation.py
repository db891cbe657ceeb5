"""How good a checkpoint is: accuracy and tokens per forward on fixed items, with the package's own
decoding loop.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psd_lib
from psd_lab import tasks
from psd_lab.caches import exact_cache
from psd_lab.training.checkpoints import load_state
from psd_lab.training.export import export
from psd_lab.training.recipe import Recipe

DECODERS: tuple[dict[str, Any], ...] = (
    {"decoder": "greedy"},
    {"decoder": "confidence", "threshold": 0.9},
    {"decoder": "top_k", "k": 8},
)
AUTOREGRESSIVE = ({"decoder": "left_to_right"},)
MONITOR = "monitor.jsonl"


def evaluate(
    folder: Path,
    names: Sequence[str],
    limit: int,
    split: str = "test",
    decoders: Sequence[dict[str, Any]] | None = None,
    blocks: Sequence[int | None] = (None,),
) -> list[dict[str, Any]]:
    """Scores the model in `folder` on the first `limit` items of each task, for each decoder and
    block length.

    `decoders` None: greedy, confidence 0.9 and blind top-8; for an autoregressive model left to
    right alone.

    One record per task, decoder and block length: n, correct (items whose scoring failed count in
    neither), accuracy with its 95 % Wilson interval (low, high), tpf (tokens before end-of-text per
    forward) and the mean number of tokens.
    """
    model = psd_lib.load(folder)
    decoders = decoders or (AUTOREGRESSIVE if model.block_length == 1 else DECODERS)
    cache = exact_cache(model.family)
    records = []
    for name in names:
        task = tasks.get(name)
        items = task.load(split, limit)
        for options in decoders:
            for block in blocks:
                out = psd_lib.generate(
                    model,
                    [e.prompt for e in items],
                    batch_size=32,
                    block_length=block,
                    gen_length=task.gen_length,
                    cache=cache,
                    **options,
                )
                scores = task.score_many(zip(out.text, items, strict=True))
                records.append(
                    {
                        "task": name,
                        "decoder": out.config.label,
                        "block": block or model.block_length,
                        "split": split,
                    }
                    | proportion(
                        [bool(score.correct) for score in scores if score.correct is not None]
                    )
                    | {
                        "tpf": round(out.tpf, 3),
                        "tokens": round(sum(s.n_tokens for s in out) / len(out), 1),
                    }
                )
    return records


def proportion(right: list[bool]) -> dict[str, Any]:
    """n, correct, and the share with its 95 % Wilson interval."""
    from scipy.stats import binomtest

    interval = binomtest(sum(right), len(right)).proportion_ci(method="wilson")
    return {
        "n": len(right),
        "correct": sum(right),
        "accuracy": round(sum(right) / len(right), 4),
        "low": round(float(interval.low), 4),
        "high": round(float(interval.high), 4),
    }


def monitor(recipe: Recipe, work: Path, limit: int, **options: Any) -> list[dict[str, Any]]:
    """Scores the newest checkpoint of a running training on validation items and keeps the records
    beside its log.
    """
    step = load_state(work)["place"]["total"]
    with tempfile.TemporaryDirectory() as folder:
        model = export(recipe, work, Path(folder) / "model")
        records = [
            {"step": step} | r
            for r in evaluate(model, recipe.tasks, limit, "validation", **options)
        ]
    with (work / MONITOR).open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return records
