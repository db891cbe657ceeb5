"""`psd bench`: what the loop itself costs, and decoders against each other in one run.

Prints a table and, as the last line, one JSON document. Milliseconds are host wall-clock on a CPU
and device events on a GPU; every repeat runs all decoders in turn, so that drift of the machine
cancels in the ratios.
"""

from __future__ import annotations

import json
import statistics

import torch

from psd_lab.page import Table, show
from psd_lab.tasks import get
from psd_lib import CACHES, DecodeConfig
from psd_lib.core.checks import at_least, known
from psd_lib.errors import UserError
from psd_lib.generation import generate
from psd_lib.models import Model, load

DECODERS = {
    "greedy": {"decoder": "greedy"},
    "confidence": {"decoder": "confidence"},
    "psd d=1": {"decoder": "psd", "depth": 1},
    "psd d=3": {"decoder": "psd", "depth": 3},
    "psd d=7": {"decoder": "psd", "depth": 7},
}


def measure(
    model: Model, prompts: list[str], gen_length: int, batch_size: int, repeats: int, cache: str
) -> list[dict]:
    """Medians over `repeats` of each decoder, and the median of the ratio of its time to greedy's
    in the same repeat.
    """
    runs: dict[str, list[dict]] = {name: [] for name in DECODERS}
    for repeat in range(repeats + 1):
        for name, options in DECODERS.items():
            config = DecodeConfig.make(gen_length=gen_length, cache=cache, **options)
            out = generate(model, prompts, config=config, batch_size=batch_size)
            if repeat:  # the first round warms up
                ledger, tokens = out.ledger, sum(sequence.n_tokens for sequence in out)
                runs[name].append(
                    {
                        "total_ms": ledger.total_ms,
                        "model_ms": ledger.model_ms,
                        "loop_share": ledger.loop_share,
                        "tpf": out.tpf,
                        "rows_per_call": ledger.rows / ledger.nfe,
                        "tokens_per_s": 1e3 * tokens / ledger.total_ms,
                    }
                )
    greedy = [run["total_ms"] for run in runs["greedy"]]
    rows = []
    for name, found in runs.items():
        row = {key: statistics.median(run[key] for run in found) for key in found[0]}
        row["time_to_greedy"] = statistics.median(
            run["total_ms"] / base for run, base in zip(found, greedy, strict=True)
        )
        rows.append({"decoder": name, **row})
    return rows


def prompts_of(task: str, items: int) -> tuple[list[str], int]:
    """Return the first validation prompts of a task and the length that it asks for.

    Raises:
        UserError: the task is unknown or has fewer items.
    """
    benchmark = get(task)
    found = benchmark.load("validation", items)
    if len(found) < items:
        raise UserError(f"{task} has {len(found)} validation items, so items={items} is too many.")
    return [example.prompt for example in found], benchmark.gen_length


def main(
    model: str = "mini-sdar",
    task: str = "mini-gsm",
    items: int = 16,
    batch_size: int = 16,
    repeats: int = 3,
    cache: str = "none",
) -> list[dict]:
    """Measure, print the table and the JSON line, return the rows."""
    for name, value in (("items", items), ("batch_size", batch_size), ("repeats", repeats)):
        at_least(name, value, 1)
    known("cache", cache, CACHES)
    prompts, gen_length = prompts_of(task, items)
    loaded = load(model)
    rows = measure(loaded, prompts, gen_length, batch_size, repeats, cache)
    show([_table(rows)])
    setting = {
        "model": model,
        "task": task,
        "items": items,
        "batch_size": batch_size,
        "repeats": repeats,
        "cache": cache,
        "device": str(loaded.denoiser.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    print(json.dumps({**setting, "rows": rows}))
    return rows


def _table(rows: list[dict]) -> Table:
    texts = [
        [value if isinstance(value, str) else f"{value:.3f}" for value in row.values()]
        for row in rows
    ]
    return Table(list(rows[0]), texts)
