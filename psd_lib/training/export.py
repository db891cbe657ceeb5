"""From a training checkpoint to a Hugging Face folder that `psd_lib.load` and transformers read."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from psd_lib.errors import UserError
from psd_lib.training.checkpoints import load_state
from psd_lib.training.network import build
from psd_lib.training.recipe import Recipe


def export(recipe: Recipe, work: Path, out: Path) -> Path:
    """Writes the newest checkpoint of folder `work` to folder `out` in bfloat16, replacing what was there at once.

    Raises UserError where there is no checkpoint.
    """
    state = load_state(work)
    if state is None:
        raise UserError(f"There is no training checkpoint in {work}; train first.")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / "tokenizer")
    partial, old = out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.old")
    for folder in (partial, old):
        shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir(parents=True)
    save_tokenizer(tokenizer, recipe, partial)
    weights = {name: weight.to(torch.bfloat16).contiguous() for name, weight in state["model"].items()}
    save_file(weights, partial / "model.safetensors", metadata={"format": "pt"})
    (partial / "model.safetensors").chmod(0o644)
    (partial / "config.json").write_text(json.dumps(model_config(recipe, tokenizer), indent=2) + "\n")
    if out.exists():
        os.replace(out, old)
    os.replace(partial, out)
    shutil.rmtree(old, ignore_errors=True)
    return out


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, recipe: Recipe, folder: Path) -> None:
    """Writes tokenizer.json and a tokenizer_config.json that names no machine and no library-internal class."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    kept = ("clean_up_tokenization_spaces", "eos_token", "mask_token", "pad_token")
    config = {key: value for key, value in json.loads(path.read_text()).items() if key in kept}
    config |= {"model_max_length": recipe.shape.positions, "tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(config, indent=2) + "\n")


def model_config(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> dict:
    """config.json: the stock Qwen3 fields, the model type `sdar`, the native block length and the mask token."""
    config = build(recipe.shape, 0, tokenizer.eos_token_id).config.to_diff_dict()
    config.pop("transformers_version", None)
    return config | {
        "architectures": ["SDARForCausalLM"],
        "model_type": "sdar",
        "block_size": recipe.block_length,
        "mask_token_id": tokenizer.mask_token_id,
        "dtype": "bfloat16",
    }
