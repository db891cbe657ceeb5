"""Check the types of what config.json says, once and before anything is computed from it.

Configs are written by many hands: a field may be missing, null, a number in quotes or a float. Null
counts as missing. Fields that no family reads are not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from psd_lib.errors import UserError

LARGEST = 2**31 - 1


def _whole(value: Any, least: int) -> bool:
    return type(value) is int and least <= value <= LARGEST


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf


def _ids(value: Any) -> bool:
    several = value if isinstance(value, list) and value else [value]
    return all(_whole(one, 0) for one in several)


Check = Callable[[Any], bool]
SIZE: tuple[Check, str] = (lambda value: _whole(value, 1), "a whole number of at least 1")
COUNT: tuple[Check, str] = (lambda value: _whole(value, 0), "a whole number of at least 0")
ID: tuple[Check, str] = (lambda value: _whole(value, 0), "a token id")
PAD: tuple[Check, str] = (lambda value: _whole(value, -1), "a token id, or -1 for none")
IDS: tuple[Check, str] = (_ids, "a token id or a list of them")
NUMBER: tuple[Check, str] = (_positive, "a positive number")
FLAG: tuple[Check, str] = (lambda value: isinstance(value, bool), "true or false")
TEXT: tuple[Check, str] = (lambda value: isinstance(value, str), "a text")

FIELDS: dict[str, tuple[Check, str]] = {
    **dict.fromkeys(("model_type",), TEXT),
    **dict.fromkeys(("eos_token_id",), IDS),
    **dict.fromkeys(("mask_token_id",), ID),
    **dict.fromkeys(("pad_token_id",), PAD),
    **dict.fromkeys(("rms_norm_eps", "rope_theta", "routed_scaling_factor"), NUMBER),
    **dict.fromkeys(("partial_rotary_factor",), NUMBER),
    **dict.fromkeys(("tie_word_embeddings", "weight_tying", "bias"), FLAG),
    **dict.fromkeys(("num_shared_experts", "first_k_dense_replace"), COUNT),
    **dict.fromkeys(
        (
            *("vocab_size", "embedding_size", "hidden_size", "d_model", "head_dim"),
            *("block_size", "bd_size"),
            *("intermediate_size", "mlp_hidden_size", "num_hidden_layers", "n_layers"),
            *("num_attention_heads", "n_heads", "num_key_value_heads", "n_kv_heads"),
            *("max_position_embeddings", "max_sequence_length", "num_experts"),
            *("num_experts_per_tok", "expert_intermediate_size", "moe_intermediate_size"),
            *("n_group", "topk_group"),
        ),
        SIZE,
    ),
}


def check_fields(raw: dict[str, Any], file: str = "config.json") -> dict[str, Any]:
    """Return the fields of a config file that are not null.

    Raises:
        UserError: a field that some family reads has a value of the wrong type.
    """
    raw = {name: value for name, value in raw.items() if value is not None}
    for name, value in raw.items():
        fits, kind = FIELDS.get(name, (None, ""))
        if fits is not None and not fits(value):
            raise UserError(f"{file} has {name} = {value!r}; it must be {kind}.")
    return raw
