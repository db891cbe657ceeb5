"""The model card: README.md, training.json and two figures of a trained model, from its recipe, log
and measurements.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psd_lib
from psd_lab import tasks
from psd_lab.report.figures import calibration_figure, learning_curve_figure, write
from psd_lab.training.calibration import calibration
from psd_lab.training.checkpoints import read_log, read_records
from psd_lab.training.evaluation import MONITOR, evaluate
from psd_lab.training.recipe import Recipe, Stage
from psd_lab.training.recipes import RECIPES
from psd_lib.models.families import FAMILIES

CURVE_POINTS = 24
CALIBRATION_ITEMS = 200

FRONT = """---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [{tags}]
---
"""
ABOUT = {
    "qwen3": ("autoregressive language model", "autoregressive"),
    "sdar": ("block-causal masked diffusion language model", "masked-diffusion, block-diffusion"),
    "llada": ("fully bidirectional masked diffusion language model", "masked-diffusion"),
    "Dream": (
        "fully bidirectional masked diffusion language model with shifted logits",
        "masked-diffusion",
    ),
}
ATTENTION = {
    "qwen3": (
        "A position sees itself and everything before it and predicts the next one;",
        "with block length 1 the decoding loop decodes it so.",
    ),
    "sdar": (
        (
            "Positions see their own block in full and all earlier blocks; blocks of {block} start"
            " at absolute position 0,"
        ),
        "the prediction for a position is read at that position (no shift).",
    ),
    "llada": (
        "Every position sees every other one; blocks of {block} are counted from the prompt's end,",
        "the prediction for a position is read at that position (no shift).",
    ),
    "Dream": (
        "Every position sees every other one; blocks of {block} are counted from the prompt's end,",
        "the prediction for a position is read at the position before it (shift).",
    ),
}


def write_card(recipe: Recipe, name: str, work: Path, out: Path, limit: int = 200) -> Path:
    """Measures the model in folder `out` on `limit` test items per task and writes training.json,
    figures and README.md there.

    training.json holds everything that the card and its figures show: the recipe, the log of the
    run in `work`, the scores, and every confidence of the calibration plot.
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
    measured = calibration(psd_lib.load(out), recipe.tasks, min(limit, CALIBRATION_ITEMS))
    record["calibration"] = {
        "confidence": [round(value, 4) for value in measured["confidence"]],
        "correct": [int(value) for value in measured["correct"]],
    }
    (out / "training.json").write_text(compact(record) + "\n")
    write(
        calibration_figure(**record["calibration"], title=f"{name}, next tokens of test answers"),
        out / "calibration.svg",
    )
    write(learning_curve_figure(record["log"], title=name), out / "learning_curve.svg")
    path = out / "README.md"
    path.write_text(card(record))
    return path


def compact(record: dict[str, Any]) -> str:
    """JSON with one line per entry of every list of objects, and lists of numbers on one line."""

    def line(value: Any) -> str:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n  " + ",\n  ".join(json.dumps(entry) for entry in value) + "\n ]"
        return json.dumps(value)

    return (
        "{\n "
        + ",\n ".join(f"{json.dumps(key)}: {line(value)}" for key, value in record.items())
        + "\n}"
    )


def count_parameters(folder: Path) -> int:
    """Number of weights in the checkpoint of `folder`."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as file:
        return sum(file.get_tensor(key).numel() for key in file.keys())


def card(record: dict[str, Any]) -> str:
    """The model card as markdown, a pure function of what training.json holds."""
    recipe = record["recipe"]
    about, tags = ABOUT[recipe["family"]]
    article = "An" if about[0] in "aeiou" else "A"
    lines = [
        FRONT.format(tags=f"{tags}, language-model"),
        f"# {record['name']}",
        "",
        (
            f"{article} {about} of {record['parameters'] / 1e6:.2f} M parameters, trained by this"
            " project"
        ),
        (
            f"(`psd train --model {record['name']}`) to study parallel decoding on a laptop. It"
            " solves small word problems and"
        ),
        "writes small Python functions; it is no general language model.",
        "",
        *shape_lines(recipe),
        "",
        "## Scores on held-out test items",
        "",
        *score_table(record["scores"]),
        "",
        "Accuracy with its 95 % Wilson interval; TPF = tokens before end-of-text per forward.",
        "",
        "## Calibration",
        "",
        "![Confidence against correctness](calibration.svg)",
        "",
        (
            "States as decoding meets them, made from the reference answers of test items:"
            " everything before a block is the"
        ),
        (
            "reference, the block is masked at a random rate, nothing behind it is decided. Correct"
            " means equal to the reference;"
        ),
        "another wording counts as wrong. The intervals take the positions as independent.",
        "",
        "## Data",
        "",
        (
            "Generated without end from seeded streams; a test item's pattern never occurs in them"
            " (see `data/tasks`)."
        ),
        "",
        *(f"* `{name}`: {tasks.get(name).description}" for name in recipe["tasks"]),
        (
            "* arithmetic drills (`Compute 9*2, 25-12.`), in the shares given below; the tasks, in"
            " this order, share the other rows."
        ),
        "",
        "## Recipe",
        "",
        *start_lines(recipe),
        *stage_table(record),
        "",
        (
            "Muon for the matrices of the layers, AdamW for embeddings, head and norms; the rate"
            " rises over the warm-up and falls"
        ),
        (
            "linearly. Block-causal diffusion is trained on two streams, noisy answer blocks beside"
            " the clean row; full attention on"
        ),
        (
            "rows with one noisy block, clean before and masked behind it. Numerals hidden: in"
            " semi-autoregressive states no"
        ),
        "numeral behind the first masked position is visible.",
        *([recipe["history"]] if recipe["history"] else []),
        "",
        "## Learning curve",
        "",
        "![Training loss](learning_curve.svg)",
        "",
        *curve_table(record["log"]),
        "",
        *monitor_table(record["monitor"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def shape_lines(recipe: dict[str, Any]) -> list[str]:
    """What the network is: sizes, attention, tokenizer, precision."""
    shape, family = recipe["shape"], FAMILIES[recipe["family"]]
    blocks = block_lengths(recipe)
    trained = [
        "  Trained with block lengths "
        + ", ".join(map(str, sorted(blocks)))
        + "; any of them can be asked for when decoding."
    ]
    return [
        (
            f"* **Shape**: stock {family.architecture.removesuffix('ForCausalLM')}, hidden"
            f" {shape['hidden']}, {shape['layers']} layers, {shape['heads']} heads of"
            f" {shape['head_dim']}, feed-forward {shape['ffn']}, untied embeddings,"
        ),
        (
            f"  {shape['vocab']} tokens, {shape['positions']} positions; `model_type` is"
            f" `{recipe['family']}`."
        ),
        *("  " + line.format(block=recipe["block_length"]) for line in ATTENTION[recipe["family"]]),
        *(trained if blocks else []),
        (
            "* **Tokenizer**: byte-level BPE; single digits; a newline with its indentation is one"
            " token."
        ),
        (
            "* **Precision**: trained in float32 with bfloat16 matrix products, stored in"
            f" bfloat16. **Seed** {recipe['seed']}."
        ),
    ]


def start_lines(recipe: dict[str, Any]) -> list[str]:
    """Where the weights came from, if not from scratch."""
    if recipe["start"] is None:
        return []
    lines = [f"Begins with the weights of [{recipe['start']}](../{recipe['start']}/README.md)."]
    own, whole = recipe["shape"], asdict(RECIPES[recipe["start"]].shape)
    if own != whole:
        lines += [
            (
                f"Of these it keeps {own['layers']} of {whole['layers']} layers, at even distances,"
                f" and in each the {own['ffn']} of"
            ),
            f"{whole['ffn']} hidden units with the largest weights.",
        ]
    if recipe["family"] in ("llada", "Dream"):
        lines += [
            (
                "That model normalises queries and keys and this one does not: their projections"
                " take over the norms' average"
            ),
            "effect, an approximation that the training repairs.",
        ]
    return [*lines, ""]


def block_lengths(recipe: dict[str, Any]) -> set[int]:
    """Block lengths that the last stage trains; none for next-token prediction."""
    return {int(length) for _, shares in recipe["stages"][-1]["blocks"] for length in shares}


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def score_table(scores: list[dict[str, Any]]) -> list[str]:
    """One line per task and decoder."""
    rows = [
        (
            s["task"],
            s["decoder"],
            s["block"],
            s["n"],
            f"{_interval(s)}",
            f"{s['tpf']:.2f}",
            f"{s['tokens']:.0f}",
        )
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
            f"from {100 * float(start):.0f} %: "
            + ", ".join(f"{length} ({100 * share:.0f} %)" for length, share in shares.items())
            for start, shares in stage.blocks
        )
        mixture = stage.mixture or [1 / len(record["recipe"]["tasks"])] * len(
            record["recipe"]["tasks"]
        )
        rows.append(
            (
                stage.name,
                stage.objective.replace("_", " ")
                + (
                    f", {100 * stage.full_attention:.0f} % full attention"
                    if stage.full_attention
                    else ""
                ),
                blocks or "-",
                f"{stage.rate} to {stage.rate * stage.last_rate:.4g}",
                f"{100 * stage.drills:.0f} %",
                ", ".join(f"{100 * share:.0f}" for share in mixture) + " %",
                (
                    f"{100 * stage.windows:.0f}"
                    f" %{', numerals hidden' if stage.hide_numerals else ''}"
                    if stage.blocks
                    else "-"
                ),
                f"{(tokens - before) / 1e6:.1f} M",
                f"{last[0]['seconds'] / 60:.0f} min" if last else "-",
            )
        )
        before = tokens
    head = (
        "stage",
        "objective",
        "block lengths",
        "rate",
        "drills",
        "tasks",
        "semi-autoregressive states",
        "row tokens",
        "time",
    )
    return [
        *table(head, rows),
        "",
        f"Machine: {record['cores']} shared CPU cores, no GPU." if record["cores"] else "",
    ]


def curve_table(log: list[dict[str, Any]]) -> list[str]:
    """The training loss at about `CURVE_POINTS` places of the run."""
    stride = max(1, len(log) // CURVE_POINTS)
    rows = [
        (e["stage"], e["step"], f"{e['tokens'] / 1e6:.2f}", f"{e['loss']:.3f}")
        for e in log[::-stride][::-1]
    ]
    return table(("stage", "step", "M tokens", "loss"), rows)


def monitor_table(records: list[dict[str, Any]]) -> list[str]:
    """Validation scores measured during the run, if any were."""
    if not records:
        return []
    rows = [
        (r["step"], r["task"], r["decoder"], r["block"], r["n"], _interval(r), f"{r['tpf']:.2f}")
        for r in records
    ]
    return [
        "Validation items during the run:",
        "",
        *table(("step", "task", "decoder", "block", "n", "accuracy %", "TPF"), rows),
    ]
