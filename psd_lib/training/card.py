"""The model card: README.md and training.json of a trained model, written from its recipe, log and measured scores."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from psd_lib import tasks
from psd_lib.training.checkpoints import read_log, read_records
from psd_lib.training.evaluation import MONITOR, evaluate
from psd_lib.training.recipe import Recipe, Stage

CURVE_POINTS = 24

FRONT = """---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [masked-diffusion, block-diffusion, language-model]
---
"""


def write_card(recipe: Recipe, name: str, work: Path, out: Path, limit: int = 200) -> Path:
    """Evaluates the model in folder `out` on `limit` test items per task and writes training.json and README.md there.

    training.json holds everything that the card shows: the recipe, the log of the run in `work`, and the scores.
    """
    record = {
        "name": name,
        "recipe": asdict(recipe),
        "cores": os.cpu_count(),
        "parameters": count_parameters(out),
        "log": read_log(work),
        "monitor": read_records(work / MONITOR),
        "scores": evaluate(out, recipe.tasks, limit),
    }
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    path = out / "README.md"
    path.write_text(card(record))
    return path


def count_parameters(folder: Path) -> int:
    """Number of weights in the checkpoint of `folder`."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as file:
        return sum(file.get_tensor(key).numel() for key in file.keys())  # noqa: SIM118 (not a mapping)


def card(record: dict[str, Any]) -> str:
    """The model card as markdown, a pure function of what training.json holds."""
    recipe, shape = record["recipe"], record["recipe"]["shape"]
    lines = [
        FRONT,
        f"# {record['name']}",
        "",
        f"A block-causal masked diffusion language model of {record['parameters'] / 1e6:.2f} M parameters, trained from",
        "scratch by this project (`psd train`) to study parallel decoding on a laptop. It solves small word problems and",
        "writes small Python functions; it is no general language model.",
        "",
        f"* **Shape**: stock Qwen3, hidden {shape['hidden']}, {shape['layers']} layers, {shape['heads']} heads of "
        f"{shape['head_dim']}, feed-forward {shape['ffn']}, untied embeddings, {shape['vocab']} tokens,",
        f"  {shape['positions']} positions. `model_type` is `sdar`: positions see their own block in full and all earlier blocks;",
        f"  blocks of {recipe['block_length']} start at absolute position 0, the prediction for a position is read at that "
        "position (no shift).",
        "  Trained with block lengths "
        + ", ".join(str(b) for b in sorted(block_lengths(recipe)))
        + "; any of them can be asked for when decoding.",
        "* **Tokenizer**: byte-level BPE; single digits; a newline with its indentation is one token.",
        f"* **Precision**: trained in float32 with bfloat16 matrix products, stored in bfloat16. **Seed** {recipe['seed']}.",
        "",
        "## Scores on held-out test items",
        "",
        *score_table(record["scores"]),
        "",
        "Accuracy with its 95 % Wilson interval; TPF = tokens before end-of-text per forward.",
        "",
        "## Data",
        "",
        "Generated without end from seeded streams; a test item's pattern never occurs in them (see `data/tasks`).",
        "",
        *(f"* `{name}`: {tasks.get(name).description}" for name in recipe["tasks"]),
        "* arithmetic drills (`Compute 9*2, 25-12.`), in the shares given below.",
        "",
        "## Recipe",
        "",
        *stage_table(record),
        "",
        "Muon for the matrices of the layers, AdamW for embeddings, head and norms; the rate rises over the warm-up and falls",
        "linearly. Block diffusion is trained on two streams: noisy answer blocks beside the clean row. Numerals",
        "hidden: in semi-autoregressive states no numeral behind the first masked position is visible.",
        *([recipe["history"]] if recipe["history"] else []),
        "",
        "## Learning curve",
        "",
        *curve_table(record["log"]),
        "",
        *monitor_table(record["monitor"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def block_lengths(recipe: dict[str, Any]) -> set[int]:
    """Block lengths that the last stage trains."""
    return {int(length) for _, shares in recipe["stages"][-1]["blocks"] for length in shares}


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def score_table(scores: list[dict[str, Any]]) -> list[str]:
    """One line per task and decoder."""
    rows = [
        (s["task"], s["decoder"], s["block"], s["n"], f"{_interval(s)}", f"{s['tpf']:.2f}", f"{s['tokens']:.0f}")
        for s in scores
    ]
    return table(("task", "decoder", "block", "n", "accuracy %", "TPF", "tokens"), rows)


def _interval(score: dict[str, Any]) -> str:
    return f"{100 * score['accuracy']:.1f} [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"


def stage_table(record: dict[str, Any]) -> list[str]:
    """What each stage did, with its measured cost."""
    rows, before = [], 0
    for raw in record["recipe"]["stages"]:
        stage = Stage(**raw)
        last = [entry for entry in record["log"] if entry["stage"] == stage.name][-1:]
        tokens = last[0]["tokens"] if last else before
        blocks = "; ".join(
            f"from {100 * float(start):.0f} %: " + ", ".join(f"{length} ({100 * share:.0f} %)" for length, share in shares.items())
            for start, shares in stage.blocks
        )
        rows.append(
            (
                stage.name,
                stage.objective.replace("_", " "),
                blocks or "-",
                f"{stage.rate} to {stage.rate * stage.last_rate:.4g}",
                f"{100 * stage.drills:.0f} %",
                f"{100 * stage.windows:.0f} %{', numerals hidden' if stage.hide_numerals else ''}" if stage.blocks else "-",
                f"{(tokens - before) / 1e6:.1f} M",
                f"{last[0]['seconds'] / 60:.0f} min" if last else "-",
            )
        )
        before = tokens
    head = ("stage", "objective", "block lengths", "rate", "drills", "semi-autoregressive states", "row tokens", "time")
    return [*table(head, rows), "", f"Machine: {record['cores']} shared CPU cores, no GPU." if record["cores"] else ""]


def curve_table(log: list[dict[str, Any]]) -> list[str]:
    """The training loss at about `CURVE_POINTS` places of the run."""
    stride = max(1, len(log) // CURVE_POINTS)
    rows = [(e["stage"], e["step"], f"{e['tokens'] / 1e6:.2f}", f"{e['loss']:.3f}") for e in log[::-stride][::-1]]
    return table(("stage", "step", "M tokens", "loss"), rows)


def monitor_table(records: list[dict[str, Any]]) -> list[str]:
    """Validation scores measured during the run, if any were."""
    if not records:
        return []
    rows = [(r["step"], r["task"], r["decoder"], r["block"], r["n"], _interval(r), f"{r['tpf']:.2f}") for r in records]
    return ["Validation items during the run:", "", *table(("step", "task", "decoder", "block", "n", "accuracy %", "TPF"), rows)]
