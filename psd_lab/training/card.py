"""The model card: README.md, training.json and two figures, from recipe, log and measurements.

The text is card_template.md; everything that differs between models is computed here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

import psd_lib
from psd_lab import tasks
from psd_lab.files import write_atomically
from psd_lab.report.figures import calibration_figure, learning_curve_figure, write
from psd_lab.training.calibration import calibration
from psd_lab.training.evaluation import evaluate
from psd_lab.training.export import compact
from psd_lab.training.places import RECORD
from psd_lab.training.recipes import RECIPES
from psd_lib.models.families import FAMILIES

TEMPLATE = Path(__file__).with_name("card_template.md")
CURVE_POINTS = 24
CALIBRATION_ITEMS = 200

DIFFUSION = "masked diffusion language model"
# What a model of each family is, and its tags.
ABOUT = {
    "qwen3": ("autoregressive language model", "autoregressive"),
    "sdar": (f"block-causal {DIFFUSION}", "masked-diffusion, block-diffusion"),
    "llada": (f"fully bidirectional {DIFFUSION}", "masked-diffusion"),
    "Dream": (f"fully bidirectional {DIFFUSION} with shifted logits", "masked-diffusion"),
}
BIDIRECTIONAL = (
    "Every position sees every other one; blocks of {block} are counted from the prompt's end,\n"
    "  the prediction for a position is read at "
)
ATTENTION = {
    "qwen3": (
        "A position sees itself and everything before it and predicts the next one;\n"
        "  with block length 1 the decoding loop decodes it so."
    ),
    "sdar": (
        "Positions see their own block in full and all earlier blocks; blocks of {block} start at"
        " absolute position 0,\n"
        "  the prediction for a position is read at that position (no shift)."
    ),
    "llada": BIDIRECTIONAL + "that position (no shift).",
    "Dream": BIDIRECTIONAL + "the position before it (shift).",
}


def write_card(out: Path, limit: int = 200) -> Path:
    """Measure the exported model in `out` on test items and write its card there.

    training.json, which has the recipe and the log, gets everything else that the card and its
    figures show: the scores, and every confidence of the calibration plot.

    Args:
        limit: Items of each task.

    Returns:
        The path of README.md.
    """
    trained = json.loads((out / RECORD).read_text(encoding="utf-8"))
    names = trained["recipe"]["tasks"]
    measured = calibration(psd_lib.load(out), names, min(limit, CALIBRATION_ITEMS))
    record = trained | {
        "cores": os.cpu_count(),
        "parameters": count_parameters(out),
        "scores": evaluate(out, names, limit),
        "calibration": {
            "confidence": [round(value, 4) for value in measured["confidence"]],
            "correct": [int(value) for value in measured["correct"]],
        },
    }
    title = f"{record['name']}, next tokens of test answers"
    write(calibration_figure(**record["calibration"], title=title), out / "calibration.svg")
    write(learning_curve_figure(record["log"], title=record["name"]), out / "learning_curve.svg")
    write_atomically(out / RECORD, compact(record) + "\n")
    path = out / "README.md"
    write_atomically(path, card(record))
    return path


def count_parameters(folder: Path) -> int:
    """Count the weights in the checkpoint of a folder."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as file:
        names = file.keys()
        return sum(file.get_tensor(name).numel() for name in names)


def card(record: Mapping[str, Any]) -> str:
    """Return the card as Markdown: a pure function of what training.json holds."""
    recipe, name = record["recipe"], record["name"]
    about, tags = ABOUT[recipe["family"]]
    described = (f"* `{task}`: {tasks.get(task).description}" for task in recipe["tasks"])
    text = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=name,
        tags=tags,
        article="An" if about[0] in "aeiou" else "A",
        about=about,
        millions=f"{record['parameters'] / 1e6:.2f}",
        shape=shape_text(recipe),
        scores=score_table(record["scores"]),
        data="\n".join(described),
        start=start_text(recipe),
        stages=stage_table(record),
        machine=f"Machine: {record['cores']} shared CPU cores, no GPU." if record["cores"] else "",
        history=recipe["history"],
        curve=curve_table(record["log"]),
        monitor=monitor_table(record.get("monitor", [])),
    )
    return text.replace("\n\n\n", "\n\n").rstrip() + "\n"


def shape_text(recipe: Mapping[str, Any]) -> str:
    """Describe the network: sizes, attention, tokenizer, precision."""
    shape, family = recipe["shape"], FAMILIES[recipe["family"]]
    blocks = ", ".join(map(str, sorted(block_lengths(recipe))))
    trained = f"\n  Trained with block lengths {blocks}; decoding may ask for any of them."
    return (
        f"* **Shape**: stock {family.architecture.removesuffix('ForCausalLM')}, hidden"
        f" {shape['hidden']}, {shape['layers']} layers, {shape['heads']} heads of"
        f" {shape['head_dim']}, feed-forward {shape['ffn']}, untied embeddings,\n"
        f"  {shape['vocab']} tokens, {shape['positions']} positions; `model_type` is"
        f" `{recipe['family']}`.\n"
        f"  {ATTENTION[recipe['family']].format(block=recipe['block_length'])}"
        f"{trained if blocks else ''}\n"
        "* **Tokenizer**: byte-level BPE; single digits; a newline with its indentation is one"
        " token.\n"
        "* **Precision**: trained in float32 with bfloat16 matrix products, stored in bfloat16."
        f" **Seed** {recipe['seed']}."
    )


def start_text(recipe: Mapping[str, Any]) -> str:
    """Say where the weights came from; nothing if from scratch."""
    start = recipe["start"]
    if start is None:
        return ""
    lines = [f"Begins with the weights of [{start}](../{start}/README.md)."]
    own, whole = recipe["shape"], asdict(RECIPES[start].shape)
    if own != whole:
        lines += [
            f"Of these it keeps {own['layers']} of {whole['layers']} layers, at even distances,"
            f" and in each the {own['ffn']} of",
            f"{whole['ffn']} hidden units with the largest weights.",
        ]
    if recipe["family"] in ("llada", "Dream"):
        lines += [
            "That model normalises queries and keys and this one does not: their projections take"
            " over the norms' average",
            "effect, an approximation that the training repairs.",
        ]
    return "\n".join(lines) + "\n\n"


def block_lengths(recipe: Mapping[str, Any]) -> set[int]:
    """Return the block lengths that the last stage trains; none for next-token prediction."""
    return {int(length) for _, shares in recipe["stages"][-1]["blocks"] for length in shares}


def markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table; every cell is shown as it is given."""
    cells = [{name: str(value) for name, value in row.items()} for row in rows]
    return pd.DataFrame(cells).to_markdown(index=False, tablefmt="github", disable_numparse=True)


def score_table(scores: Iterable[Mapping[str, Any]]) -> str:
    """Return a table with one line for each task and decoder."""
    return markdown(score_row(score) | {"tokens": f"{score['tokens']:.0f}"} for score in scores)


def score_row(score: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every table shows of a score."""
    low, high = 100 * score["low"], 100 * score["high"]
    return {
        "task": score["task"],
        "decoder": score["decoder"],
        "block": score["block"],
        "n": score["n"],
        "accuracy %": f"{100 * score['accuracy']:.1f} [{low:.1f}, {high:.1f}]",
        "TPF": f"{score['tpf']:.2f}",
    }


def stage_table(record: Mapping[str, Any]) -> str:
    """Return a table of what each stage did, with its measured cost."""
    rows, before = [], 0
    equal = [1 / len(record["recipe"]["tasks"])] * len(record["recipe"]["tasks"])
    for stage in record["recipe"]["stages"]:
        last = [entry for entry in record["log"] if entry["stage"] == stage["name"]][-1:]
        tokens = last[0]["tokens"] if last else before
        mixture = stage["mixture"] or equal
        rows.append(
            {
                "stage": stage["name"],
                "objective": objective_text(stage),
                "block lengths": blocks_text(stage) or "-",
                "rate": f"{stage['rate']} to {stage['rate'] * stage['last_rate']:.4g}",
                "drills": f"{100 * stage['drills']:.0f} %",
                "tasks": ", ".join(f"{100 * share:.0f}" for share in mixture) + " %",
                "semi-autoregressive states": windows_text(stage) if stage["blocks"] else "-",
                "row tokens": f"{(tokens - before) / 1e6:.1f} M",
                "time": f"{last[0]['seconds'] / 60:.0f} min" if last else "-",
            }
        )
        before = tokens
    return markdown(rows)


def objective_text(stage: Mapping[str, Any]) -> str:
    """Name a stage's objective and its share of steps with full attention."""
    name, share = stage["objective"].replace("_", " "), stage["full_attention"]
    return f"{name}, {100 * share:.0f} % full attention" if share else name


def blocks_text(stage: Mapping[str, Any]) -> str:
    """List a stage's block lengths with their shares of the steps."""
    return "; ".join(
        f"from {100 * float(start):.0f} %: "
        + ", ".join(f"{length} ({100 * share:.0f} %)" for length, share in shares.items())
        for start, shares in stage["blocks"]
    )


def windows_text(stage: Mapping[str, Any]) -> str:
    """Say how many states are semi-autoregressive and whether numerals are hidden in them."""
    hidden = ", numerals hidden" if stage["hide_numerals"] else ""
    return f"{100 * stage['windows']:.0f} %{hidden}"


def curve_table(log: list[dict[str, Any]]) -> str:
    """Return a table of the training loss at about `CURVE_POINTS` places of the run."""
    stride = max(1, len(log) // CURVE_POINTS)
    return markdown(
        {
            "stage": entry["stage"],
            "step": entry["step"],
            "M tokens": f"{entry['tokens'] / 1e6:.2f}",
            "loss": f"{entry['loss']:.3f}",
        }
        for entry in log[::-stride][::-1]
    )


def monitor_table(records: Iterable[Mapping[str, Any]]) -> str:
    """Return a table of validation scores measured during the run; nothing if there are none."""
    rows = [{"step": record["step"]} | score_row(record) for record in records]
    return "Validation items during the run:\n\n" + markdown(rows) if rows else ""
