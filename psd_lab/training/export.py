"""From a training checkpoint to a Hugging Face folder that `psd_lib.load` and transformers read."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast

from psd_lab.training.checkpoints import load_state
from psd_lab.training.network import Shape, build
from psd_lab.training.recipe import Recipe
from psd_lib.errors import UserError
from psd_lib.models.families import FAMILIES

RELEASED_CLASS = {"sdar": "SDARForCausalLM", "llada": "LLaDAModelLM", "Dream": "DreamModel"}


def export(recipe: Recipe, work: Path, out: Path) -> Path:
    """Writes the newest checkpoint of folder `work` to folder `out` in bfloat16, replacing what was
    there at once.

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
    weights = {
        name: weight.to(torch.bfloat16).contiguous() for name, weight in state["model"].items()
    }
    save_file(weights, partial / "model.safetensors", metadata={"format": "pt"})
    (partial / "model.safetensors").chmod(0o644)
    (partial / "config.json").write_text(
        json.dumps(model_config(recipe, tokenizer), indent=2) + "\n"
    )
    if out.exists():
        os.replace(out, old)
    os.replace(partial, out)
    shutil.rmtree(old, ignore_errors=True)
    return out


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, recipe: Recipe, folder: Path) -> None:
    """Writes tokenizer.json and a tokenizer_config.json that names no machine and no
    library-internal class.
    """
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    kept = ("clean_up_tokenization_spaces", "eos_token", "mask_token", "pad_token")
    config = {key: value for key, value in json.loads(path.read_text()).items() if key in kept}
    config |= {
        "model_max_length": recipe.shape.positions,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    path.write_text(json.dumps(config, indent=2) + "\n")


def model_config(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> dict:
    """config.json: the stock fields, the family's model type, the native block length and the mask
    token.

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
    """The fields of a LLaDA config.json that say what the stock Llama fields say."""
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
