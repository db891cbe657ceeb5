"""Models for tests: tiny random ones, and one that looks its logits up in a table.

The random ones are float32, need no files and are peaked enough that every decoding rule has
something to decide.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from psd_lib.models import FAMILIES, Model
from psd_lib.models.chat import TEMPLATES
from psd_lib.models.configs import LLADA
from psd_lib.models.denoiser import NetworkDenoiser
from psd_lib.models.tokenizers import vocabulary_size
from psd_lib.models.weights import PARTS, QKV, quiet, released_name

EOS, MASK = "<|endoftext|>", "<|MASK|>"

_COMMON = {
    "vocab_size": 32,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_CONFIGS = {
    "llada": (
        LLADA
        | {
            "embedding_size": 32,
            "vocab_size": 32,
            "d_model": 32,
            "mlp_hidden_size": 64,
            "n_layers": 2,
            "n_heads": 2,
            "n_kv_heads": 1,
            "max_sequence_length": 256,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "weight_tying": False,
        }
    ),
    "PanguEmbedded": _COMMON | {"bias": True},
    "llada_moe": (
        _COMMON
        | _EXPERTS
        | {
            "expert_intermediate_size": 16,
            "dense_intermediate_size": 64,
            "norm_topk_prob": True,
            "qk_layernorm": True,
            "moe_router_enable_expert_bias": False,
        }
    ),
    "llada2_moe": (
        _COMMON
        | _EXPERTS
        | {
            "num_shared_experts": 1,
            "moe_intermediate_size": 16,
            "n_group": 2,
            "topk_group": 1,
            "routed_scaling_factor": 2.5,
            "first_k_dense_replace": 1,
            "partial_rotary_factor": 0.5,
            "norm_topk_prob": True,
            "use_qk_norm": True,
            "score_function": "sigmoid",
            "moe_router_enable_expert_bias": True,
        }
    ),
}


def tiny_tokenizer(words: int = 30) -> PreTrainedTokenizerFast:
    """Return a word-level tokenizer of `<|endoftext|>`, `<|MASK|>`, `w2`, `w3`, ....

    It has `words` entries in all.
    """
    vocab = {EOS: 0, MASK: 1, **{f"w{i}": i for i in range(2, words)}}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="w2"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, pad_token=EOS, mask_token=MASK, unk_token="w2"
    )


def tiny_config(family: str, block_length: int = 8) -> dict[str, Any]:
    """Return the raw `config.json` of a tiny model of a family.

    Its field names and flags are those of the family's released checkpoints.
    """
    raw = _CONFIGS.get(family, _COMMON) | {"model_type": FAMILIES[family].model_type}
    return raw | {"block_size": block_length, "mask_token_id": 1, "eos_token_id": 0}


def tiny_model(
    seed: int = 0,
    block_length: int = 8,
    words: int = 30,
    sharpness: float = 12.0,
    sees_future: bool = False,
    family: str = "sdar",
) -> Model:
    """Return a random two-layer model of a family.

    It has 32 vocabulary rows, two of which the tokenizer does not use.
    `sharpness` scales the logits: confidences then spread over (0, 1), so that thresholds and
    drafts both matter. `sees_future` makes its attention fully bidirectional and its blocks start
    at the prompt's end.
    """
    facts = FAMILIES[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        arguments = facts.config(tiny_config(family)) | {
            "initializer_range": 0.3,
            "tie_word_embeddings": False,
        }
        config = getattr(transformers, facts.config_class)(**arguments)
        network = (
            getattr(transformers, facts.architecture)
            ._from_config(config, attn_implementation="sdpa")
            .float()
        )
        network.lm_head.weight.data *= sharpness / 6
        for name, weight in network.state_dict().items():
            if name.endswith(
                (".bias", "e_score_correction_bias")
            ):  # zero at first, so that losing it would not show
                weight.normal_(0.0, 0.3)
    if sees_future:
        facts = replace(facts, sees_future=True, absolute_blocks=False)
    tokenizer = tiny_tokenizer(words)
    tokenizer.chat_template = TEMPLATES.get(family)
    denoiser = NetworkDenoiser(network, facts, 1, (0,), vocabulary_size(tokenizer))
    return Model(f"tiny-{seed}", denoiser, tokenizer, facts, block_length, 256, f"tiny{seed:08d}")


def save_checkpoint(model: Model, folder: Path) -> Path:
    """Write a model of `tiny_model` as a checkpoint folder in the released shape of its family.

    config.json has the family's field names and model.safetensors its tensor names; the tokenizer's
    files lie beside them.
    """
    family = model.family
    with quiet(bar=False):
        model.denoiser.network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    if family.fused:
        _fuse(weights, model.denoiser.network.config.num_hidden_layers)
    weights = {released_name(name, family): weight for name, weight in weights.items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    raw = tiny_config(family.name, model.block_length) | {
        "mask_token_id": model.mask_id,
        "eos_token_id": model.eos_id,
    }
    (folder / "config.json").write_text(json.dumps(raw, indent=2), encoding="utf-8")
    (folder / "generation_config.json").unlink(missing_ok=True)
    return folder


def _fuse(weights: dict[str, torch.Tensor], layers: int) -> None:
    for layer in range(layers):
        parts = [weights.pop(part.replace("{i}", str(layer))) for part in PARTS]
        weights[QKV.replace("{i}", str(layer))] = torch.cat(parts)
