"""Tiny random models for tests: float32, no files, peaked enough that every decoding rule has something to decide."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from psd_lib.models import FAMILIES, Model
from psd_lib.models.denoiser import NetworkDenoiser

EOS, MASK = "<|endoftext|>", "<|MASK|>"


def tiny_tokenizer(words: int = 30) -> PreTrainedTokenizerFast:
    """A word-level tokenizer of `<|endoftext|>`, `<|MASK|>`, `w2`, `w3`, ... with `words` entries in all."""
    vocab = {EOS: 0, MASK: 1, **{f"w{i}": i for i in range(2, words)}}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="w2"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, pad_token=EOS, mask_token=MASK, unk_token="w2")


def tiny_model(seed: int = 0, block_length: int = 8, words: int = 30, sharpness: float = 12.0, sees_future: bool = False) -> Model:
    """A random two-layer model of the `sdar` family with 32 vocabulary rows, two of which the tokenizer does not use.

    `sharpness` scales the logits: confidences then spread over (0, 1), so that thresholds and drafts both matter.
    `sees_future` makes its attention fully bidirectional and its blocks start at the prompt's end.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = Qwen3Config(
            vocab_size=32, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=16, max_position_embeddings=256, tie_word_embeddings=False,
            initializer_range=0.3, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        )  # fmt: skip
        network = Qwen3ForCausalLM(config).float()
        network.lm_head.weight.data *= sharpness / 6
    family = FAMILIES["sdar"]
    if sees_future:
        family = replace(family, sees_future=True, absolute_blocks=False)
    tokenizer = tiny_tokenizer(words)
    denoiser = NetworkDenoiser(network, family, 1, (0,), len(tokenizer))
    return Model(f"tiny-{seed}", denoiser, tokenizer, family, block_length, 256, f"tiny{seed:08d}")


def save_checkpoint(model: Model, folder: Path) -> Path:
    """Write `model` as a checkpoint folder in the released shape: config.json, model.safetensors, tokenizer files."""
    model.denoiser.network.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    path = folder / "config.json"
    raw = json.loads(path.read_text())
    raw |= {"model_type": model.family.model_type, "block_size": model.block_length, "mask_token_id": model.mask_id}
    path.write_text(json.dumps(raw | {"eos_token_id": model.eos_id}, indent=2))
    return folder
