"""Turn the state of a training into a checkpoint that `psd_lib.load` and transformers read."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from psd_lab.files import refusal
from psd_lab.training.checkpoints import load_state, read_log
from psd_lab.training.network import Shape, build
from psd_lab.training.places import RECORD, TOKENIZER, draft_folder, replace_checkpoint
from psd_lab.training.recipe import Recipe
from psd_lib.errors import UserError
from psd_lib.models.families import FAMILIES

RELEASED_CLASS = {"sdar": "SDARForCausalLM", "llada": "LLaDAModelLM", "Dream": "DreamModel"}


def export(recipe: Recipe, name: str, work: Path, out: Path) -> Path:
    """Write the newest state in `work` to folder `out` as a checkpoint in bfloat16.

    training.json there holds the model's name, the recipe and the log; the card adds to it.

    Raises:
        UserError: There is no state, or the folder cannot be written; an earlier checkpoint is then
            as it was.
    """
    state = load_state(work)
    if state is None:
        raise UserError(f"There is no training checkpoint in {work}; train first.")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / TOKENIZER)
    weights = {
        name: weight.to(torch.bfloat16).contiguous() for name, weight in state["model"].items()
    }
    record = {"name": name, "recipe": asdict(recipe), "log": read_log(work)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        with draft_folder(out) as draft:
            save_tokenizer(tokenizer, recipe, draft)
            save_file(weights, draft / "model.safetensors", metadata={"format": "pt"})
            (draft / "model.safetensors").chmod(0o644)
            config = json.dumps(model_config(recipe, tokenizer), indent=2)
            (draft / "config.json").write_text(config + "\n", encoding="utf-8")
            (draft / RECORD).write_text(compact(record) + "\n", encoding="utf-8")
            replace_checkpoint(draft, out)
    except (OSError, SafetensorError) as error:
        raise _refusal(out, error) from error
    return out


def _refusal(out: Path, error: Exception) -> Exception:
    if isinstance(error, OSError):
        return refusal(out, error)
    return UserError(f"{out} cannot be written ({error}): make room and run again to go on.")


def compact(record: dict[str, Any]) -> str:
    """Return JSON with one line for each entry of a list of objects, else one line for each key."""

    def line(value: Any) -> str:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n  " + ",\n  ".join(json.dumps(entry) for entry in value) + "\n ]"
        return json.dumps(value)

    lines = (f"{json.dumps(key)}: {line(value)}" for key, value in record.items())
    return "{\n " + ",\n ".join(lines) + "\n}"


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, recipe: Recipe, folder: Path) -> None:
    """Write tokenizer.json and a tokenizer_config.json without paths and internal classes."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    kept = ("clean_up_tokenization_spaces", "eos_token", "mask_token", "pad_token")
    config = {
        key: value
        for key, value in json.loads(path.read_text(encoding="utf-8")).items()
        if key in kept
    }
    config |= {
        "model_max_length": recipe.shape.positions,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def model_config(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> dict:
    """Return config.json: the stock fields, model type, native block length and mask token.

    For `llada` the released field names stand beside the stock ones, so that stock classes and
    LLaDA's own code both find what they need.
    """
    config = build(recipe.family, recipe.shape, 0, tokenizer.eos_token_id).config.to_diff_dict()
    config.pop("transformers_version", None)
    shape = recipe.shape
    return config | {
        "architectures": [RELEASED_CLASS.get(recipe.family, FAMILIES[recipe.family].architecture)],
        "model_type": recipe.family,
        "block_size": recipe.block_length,
        "mask_token_id": tokenizer.mask_token_id,
        "dtype": "bfloat16",
        **(llada_names(shape, config) if recipe.family == "llada" else {}),
    }


def llada_names(shape: Shape, config: dict) -> dict:
    """Return the fields of LLaDA's own config.json that repeat the stock Llama fields."""
    return {
        "d_model": shape.hidden,
        "n_layers": shape.layers,
        "n_heads": shape.heads,
        "n_kv_heads": shape.heads,
        "mlp_hidden_size": shape.ffn,
        "embedding_size": shape.vocab,
        "max_sequence_length": shape.positions,
        "rms_norm_eps": config.get("rms_norm_eps", 1e-6),
        "rope_theta": 10000.0,
        "weight_tying": False,
        "block_type": "llama",
        "layer_norm_type": "rms",
        "activation_type": "silu",
        "rope": True,
        "alibi": False,
        "include_bias": False,
        "include_qkv_bias": False,
        "attention_layer_norm": False,
        "input_emb_norm": False,
        "scale_logits": False,
        "block_group_size": 1,
    }
