"""The network: a stock transformers class of any size, initialised as suits small ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import transformers
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from psd_lib.models.families import FAMILIES

ATTENTION = "sdpa_float32"


def _attention(module, query, key, value, mask, **options):
    # Under autocast the products run in bfloat16, twice as fast where the CPU has it; but the
    # backward pass of attention is four times slower in bfloat16 than in float32.
    with torch.autocast(query.device.type, enabled=False):
        return sdpa_attention_forward(
            module, query.float(), key.float(), value.float(), mask, **options
        )


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; `positions` is the longest prompt with its answer, in tokens."""

    vocab: int = 1024
    hidden: int = 160
    layers: int = 6
    heads: int = 5
    head_dim: int = 32
    ffn: int = 432
    positions: int = 256


def build(family: str, shape: Shape, seed: int, eos_id: int) -> PreTrainedModel:
    """Build a network of `family` (a `model_type`) in float32 with weights drawn from `seed`."""
    config = getattr(transformers, FAMILIES[family].config_class)(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.positions,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=eos_id,
        pad_token_id=eos_id,
        use_cache=False,
        attn_implementation=ATTENTION,
    )
    torch.manual_seed(seed)
    model = getattr(transformers, FAMILIES[family].architecture)(config).float()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "embed_tokens" in name:
                # Copying a name from prompt to answer needs rows that differ from the start: at the
                # usual 0.02 the rows of one word class stay nearly parallel for millions of tokens.
                weight.normal_(0.0, 0.7)
            elif weight.ndim == 2:
                weight.normal_(0.0, 0.7 / math.sqrt(weight.shape[1]))
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    weight.div_(math.sqrt(2.0 * shape.layers))
    return model
