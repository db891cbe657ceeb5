"""Families of masked diffusion language models as data: what differs between them is stated here, never in code.

A family maps a checkpoint's `config.json` to a stock transformers class. To add one, add an entry to `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from psd_lib.errors import UserError


@dataclass(frozen=True)
class Family:
    """Facts about one `model_type`.

    `architecture` and `config_class` are names in `transformers`; `config` turns the raw `config.json` into that class's
    arguments. `sees_future`: attention is fully bidirectional (else block-causal: a position sees its own block and
    everything before it). `absolute_blocks`: blocks are counted from position 0, so the first decoded block may begin
    with prompt tokens (else from the prompt's end). `shift`: the prediction for position i is read at i - 1.
    """

    model_type: str
    architecture: str
    config_class: str
    config: Callable[[dict], dict]
    sees_future: bool
    absolute_blocks: bool
    shift: bool
    default_block_length: int


def _pick(raw: dict, *names: str) -> dict:
    """Selected fields only: raw configs carry flags that would leak into the stock class."""
    missing = [name for name in names if name not in raw]
    if missing:
        raise UserError(f"config.json lacks {', '.join(missing)}; a checkpoint of model_type {raw.get('model_type')!r} has them.")
    return {name: raw[name] for name in names}


def _qwen3(raw: dict) -> dict:
    fields = _pick(
        raw, "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps",
    )  # fmt: skip
    theta = raw.get("rope_theta") or raw.get("rope_parameters", {}).get("rope_theta")
    if theta is None:
        raise UserError("config.json lacks rope_theta; a checkpoint of model_type 'sdar' has it.")
    return {**fields, "rope_parameters": {"rope_type": "default", "rope_theta": float(theta)}, "tie_word_embeddings": False}


FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        Family("sdar", "Qwen3ForCausalLM", "Qwen3Config", _qwen3, sees_future=False, absolute_blocks=True, shift=False,
               default_block_length=4),
    )
}  # fmt: skip


def family_of(raw: dict) -> Family:
    """The family of a raw `config.json`. Raises UserError for a model_type that is not in the table."""
    model_type = raw.get("model_type")
    if model_type not in FAMILIES:
        raise UserError(f"model_type {model_type!r} is not supported; supported are: {', '.join(FAMILIES)}.")
    return FAMILIES[model_type]
