"""Families of masked diffusion language models as data: what differs between them is stated here.

A family maps a checkpoint's `config.json` to a stock transformers class. To add one, add an entry
to `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psd_lib.errors import UserError
from psd_lib.models import configs


@dataclass(frozen=True)
class Special:
    """Special token ids of a family's released vocabulary.

    Attributes:
        rows: how many embedding rows the vocabulary has, in one release or another.
        mask: the mask token.
        stop: end of text first, then end of turn.
        pad: fills rows; never the mask.
        begin: starts a text; None where none is used.
    """

    rows: tuple[int, ...]
    mask: int
    stop: tuple[int, ...]
    pad: int | None = None
    begin: int | None = None


@dataclass(frozen=True)
class Family:
    """Facts about one `model_type`.

    Attributes:
        architecture: name of the stock class in `transformers`.
        config_class: name of its config class in `transformers`.
        config: turns the raw `config.json` into the config class's arguments.
        sees_future: attention is fully bidirectional; otherwise block-causal: a position sees its
            own block and everything before it.
        absolute_blocks: blocks are counted from position 0, so that the first decoded block may
            begin with prompt tokens; otherwise from the prompt's end.
        shift: the prediction for position i is read at i - 1.
        default_block_length: for checkpoints whose config does not have one.
        causal_context: only the block being decoded is bidirectional, everything before it sees no
            further than itself.
        names: tensor names of the checkpoint and of the stock class, `{i}` any number; other names
            are the same in both.
        fused: layers whose q, k and v projections are stored as one tensor.
        distinguished_by: config field that separates two families with one `model_type`.
        special: ids to use where the config has none.
        qwen_tokenizer: the tokenizer may come as Qwen2's vocab.json and merges.txt.
        begins: every prompt starts with `special.begin`.
    """

    name: str
    model_type: str
    architecture: str
    config_class: str
    config: Callable[[dict[str, Any]], dict[str, Any]]
    sees_future: bool
    absolute_blocks: bool
    shift: bool
    default_block_length: int
    causal_context: bool = False
    names: tuple[tuple[str, str], ...] = ()
    fused: bool = False
    distinguished_by: str | None = None
    special: Special | None = None
    qwen_tokenizer: bool = False
    begins: bool = False


_LAYER, _BLOCK = "model.layers.{i}.", "model.transformer.blocks.{i}."
LLADA_NAMES = (
    ("model.transformer.wte.weight", "model.embed_tokens.weight"),
    ("model.transformer.ln_f.weight", "model.norm.weight"),
    ("model.transformer.ff_out.weight", "lm_head.weight"),
    (_BLOCK + "attn_norm.weight", _LAYER + "input_layernorm.weight"),
    (_BLOCK + "ff_norm.weight", _LAYER + "post_attention_layernorm.weight"),
    (_BLOCK + "q_proj.weight", _LAYER + "self_attn.q_proj.weight"),
    (_BLOCK + "k_proj.weight", _LAYER + "self_attn.k_proj.weight"),
    (_BLOCK + "v_proj.weight", _LAYER + "self_attn.v_proj.weight"),
    (_BLOCK + "attn_out.weight", _LAYER + "self_attn.o_proj.weight"),
    (_BLOCK + "ff_proj.weight", _LAYER + "mlp.gate_proj.weight"),
    (_BLOCK + "up_proj.weight", _LAYER + "mlp.up_proj.weight"),
    (_BLOCK + "ff_out.weight", _LAYER + "mlp.down_proj.weight"),
)
LLADA2_NAMES = (
    ("model.word_embeddings.weight", "model.embed_tokens.weight"),
    (_LAYER + "attention.dense.weight", _LAYER + "self_attn.o_proj.weight"),
    (_LAYER + "attention.query_layernorm.weight", _LAYER + "self_attn.q_norm.weight"),
    (_LAYER + "attention.key_layernorm.weight", _LAYER + "self_attn.k_norm.weight"),
    (_LAYER + "mlp.gate.expert_bias", _LAYER + "mlp.gate.e_score_correction_bias"),
)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "sdar",
            "sdar",
            "Qwen3ForCausalLM",
            "Qwen3Config",
            configs.qwen3,
            sees_future=False,
            absolute_blocks=True,
            shift=False,
            default_block_length=4,
            special=Special((151936,), 151669, (151643, 151645), 151643),
            qwen_tokenizer=True,
        ),
        Family(
            "llada",
            "llada",
            "LlamaForCausalLM",
            "LlamaConfig",
            configs.llada,
            sees_future=True,
            absolute_blocks=False,
            shift=False,
            default_block_length=32,
            names=LLADA_NAMES,
            special=Special((126464,), 126336, (126081, 126348), 126081, 126080),
        ),
        Family(
            "Dream",
            "Dream",
            "Qwen2ForCausalLM",
            "Qwen2Config",
            configs.qwen2,
            sees_future=True,
            absolute_blocks=False,
            shift=True,
            default_block_length=32,
            special=Special((152064,), 151666, (151643, 151645), 151643, 151665),
            qwen_tokenizer=True,
        ),
        Family(
            "PanguEmbedded",
            "PanguEmbedded",
            "LlamaForCausalLM",
            "LlamaConfig",
            configs.pangu,
            sees_future=False,
            absolute_blocks=False,
            shift=True,
            default_block_length=32,
            causal_context=True,
            special=Special((153376,), 45830, (2, 45892), 0, 1),
            begins=True,
        ),
        Family(
            "Fast_dLLM_Qwen",
            "Fast_dLLM_Qwen",
            "Qwen2ForCausalLM",
            "Qwen2Config",
            configs.qwen2,
            sees_future=False,
            absolute_blocks=True,
            shift=True,
            default_block_length=32,
            special=Special((151936, 152064), 151665, (151645,)),
            qwen_tokenizer=True,
        ),
        Family(
            "llada_moe",
            "llada",
            "Qwen3MoeForCausalLM",
            "Qwen3MoeConfig",
            configs.llada_moe,
            sees_future=True,
            absolute_blocks=False,
            shift=False,
            default_block_length=32,
            distinguished_by="num_experts",
            special=Special((157184,), 156895, (156892,), 156892),
        ),
        Family(
            "llada2_moe",
            "llada2_moe",
            "Glm4MoeForCausalLM",
            "Glm4MoeConfig",
            configs.llada2,
            sees_future=False,
            absolute_blocks=True,
            shift=False,
            default_block_length=32,
            names=LLADA2_NAMES,
            fused=True,
            special=Special((157184,), 156895, (156892,), 156892),
        ),
        # an autoregressive model: a block of one token, predicted by the one before it
        Family(
            "qwen3",
            "qwen3",
            "Qwen3ForCausalLM",
            "Qwen3Config",
            configs.qwen3,
            sees_future=False,
            absolute_blocks=True,
            shift=True,
            default_block_length=1,
            qwen_tokenizer=True,
        ),
    )
}


def family_of(raw: dict[str, Any]) -> Family:
    """Return the family of a raw `config.json`.

    Raises:
        UserError: its model_type is not in the table.
    """
    model_type = raw.get("model_type")
    same = [family for family in FAMILIES.values() if family.model_type == model_type]
    fitting = [family for family in same if family.distinguished_by in raw] or [
        family for family in same if family.distinguished_by is None
    ]
    if not fitting:
        known = ", ".join(dict.fromkeys(family.model_type for family in FAMILIES.values()))
        raise UserError(f"model_type {model_type!r} is not supported; supported are: {known}.")
    return fitting[0]
