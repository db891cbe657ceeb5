"""Turn a family's raw `config.json` into the arguments of its stock transformers class.

Raw configs are never passed on whole: fields that only the released code knows would leak into the
stock class, and a flag that the stock class does not have would silently not apply.
"""

from __future__ import annotations

from typing import Any

from psd_lib.errors import UserError
from psd_lib.models.fields import check_fields

DECODER = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "rms_norm_eps",
)
LLADA = {
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
# LLaDA's flags that may be absent, because the released default is what Llama computes
LLADA_OPTIONAL = {
    "layer_norm_with_affine": True,
    "bias_for_layer_norm": False,
    "multi_query_attention": None,
    "clip_qkv": None,
}
STOCK = {"hidden_act": "silu", "use_sliding_window": False}
ROPE = ("rope_theta", "partial_rotary_factor")
# Ways to say that positions are not scaled
UNSCALED: tuple[Any, ...] = (None, {}, {"type": "default"}, {"rope_type": "default"})


def llada(raw: dict[str, Any]) -> dict[str, Any]:
    """Return Llama's arguments for LLaDA's own field names.

    LLaDA's flags must all be there, because an absent one has the released code's default. One is
    not honoured: `rope_full_precision`. The released code rotates in float32 even in bfloat16,
    Llama rounds the angles' cosines to bfloat16 first; the difference lies within bfloat16's own
    noise, and there is none in float32.
    """
    pick(raw, *LLADA)
    require(raw, LLADA | LLADA_OPTIONAL)
    renamed = {
        "vocab_size": "embedding_size",
        "hidden_size": "d_model",
        "intermediate_size": "mlp_hidden_size",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "max_position_embeddings": "max_sequence_length",
        "rms_norm_eps": "rms_norm_eps",
    }
    own = pick(raw, *renamed.values())
    fields = {stock: own[name] for stock, name in renamed.items()}
    return {
        **fields,
        "num_key_value_heads": raw.get("n_kv_heads", own["n_heads"]),
        "attention_bias": False,
        "mlp_bias": False,
        **rope(raw),
    }


def llada_moe(raw: dict[str, Any]) -> dict[str, Any]:
    """Return Qwen3-MoE's arguments for LLaDA-MoE.

    The released code does not normalise the top-k weights, whatever the config says.
    """
    require(
        raw,
        STOCK
        | {
            "moe_router_enable_expert_bias": False,
            "shared_expert_intermediate_size": None,
            "qk_layernorm": True,
            "attention_bias": False,
            "moe_router_score_function": "softmax",
            "routed_scaling_factor": 1.0,
            "router_num_group": None,
        },
    )
    layers = pick(raw, "num_hidden_layers")["num_hidden_layers"]
    if raw.get("moe_layer_freq", [1] * layers) not in (1, [1] * layers):
        raise refused(raw, "moe_layer_freq", raw["moe_layer_freq"], "1 for every layer")
    names = [name for name in DECODER if name != "intermediate_size"]
    fields = pick(raw, *names, "num_experts", "num_experts_per_tok", "expert_intermediate_size")
    at_most(raw, "num_experts_per_tok", "num_experts")
    width = fields.pop("expert_intermediate_size")
    head = raw.get("head_dim") or fields["hidden_size"] // fields["num_attention_heads"]
    return {
        **fields,
        "intermediate_size": width,
        "moe_intermediate_size": width,
        "head_dim": head,
        "norm_topk_prob": False,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        **rope(raw),
    }


def llada2(raw: dict[str, Any]) -> dict[str, Any]:
    """Return GLM-4-MoE's arguments for LLaDA2.x.

    It routes by sigmoid in groups with a correction bias, has one shared expert, and rotates half
    of a head.
    """
    require(
        raw,
        STOCK
        | {
            "norm_topk_prob": True,
            "use_qk_norm": True,
            "use_bias": False,
            "use_qkv_bias": False,
            "score_function": "sigmoid",
            "moe_router_enable_expert_bias": True,
            "norm_head": False,
        },
    )
    fields = pick(
        raw,
        *DECODER,
        "head_dim",
        "num_experts_per_tok",
        "moe_intermediate_size",
        "n_group",
        "topk_group",
        "routed_scaling_factor",
        "first_k_dense_replace",
    )
    more = pick(raw, "num_experts", "num_shared_experts")
    at_most(raw, "num_experts_per_tok", "num_experts")
    at_most(raw, "topk_group", "n_group")
    if raw["num_experts"] % raw["n_group"]:
        raise refused(raw, "n_group", raw["n_group"], f"a divisor of {raw['num_experts']} experts")
    return {
        **fields,
        "n_routed_experts": more["num_experts"],
        "n_shared_experts": more["num_shared_experts"],
        "norm_topk_prob": True,
        "use_qk_norm": True,
        "attention_bias": False,
        **rope(raw, partial=True),
    }


def pangu(raw: dict[str, Any]) -> dict[str, Any]:
    """Return Llama's arguments for openPangu, which has a bias on all attention projections."""
    require(raw, STOCK)
    fields = pick(raw, *DECODER, "bias")
    return {**fields, "attention_bias": fields.pop("bias"), "mlp_bias": False, **rope(raw)}


def qwen2(raw: dict[str, Any]) -> dict[str, Any]:
    """Return Qwen2's arguments for Dream and Fast-dLLM v2, whose fields have the same names."""
    require(raw, STOCK)
    return {**pick(raw, *DECODER), **rope(raw)}


def qwen3(raw: dict[str, Any]) -> dict[str, Any]:
    """Return Qwen3's arguments for SDAR, whose fields have the same names."""
    require(raw, STOCK | {"attention_bias": False})
    return {**pick(raw, *DECODER, "head_dim"), **rope(raw)}


def pick(raw: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the named fields.

    Raises:
        UserError: some of them are missing or null.
    """
    missing = [name for name in names if raw.get(name) is None]
    if missing:
        raise UserError(
            f"config.json lacks {', '.join(missing)}; a checkpoint of model_type"
            f" {raw.get('model_type')!r} has them."
        )
    return {name: raw[name] for name in names}


def require(raw: dict[str, Any], flags: dict[str, Any]) -> None:
    """Check the flags that a config has; null counts as false and absent flags are not looked at.

    Raises:
        UserError: a flag asks for what the stock class does not compute.
    """
    for name, value in flags.items():
        given = raw.get(name, value)
        if given != value and not (value in (None, False) and given in (None, False)):
            raise refused(raw, name, given, repr(value))


def at_most(raw: dict[str, Any], name: str, other: str) -> None:
    """Check that one field is not larger than another.

    Raises:
        UserError: it is.
    """
    if raw[name] > raw[other]:
        raise refused(raw, name, raw[name], f"at most {other}, {raw[other]}")


def rope(raw: dict[str, Any], partial: bool = False) -> dict[str, Any]:
    """Return the rotary parameters, from either place where configs keep them.

    The base must be there, because transformers would silently take 10,000. Scaled positions are
    refused for every family: the released codes differ in what they make of the same setting.
    `partial`: only a part of each head is rotated, which the config must then say.

    Raises:
        UserError: a parameter is missing or said twice differently, or positions are scaled.
    """
    nested = raw.get("rope_parameters") or {}
    if raw.get("rope_scaling", {}) not in UNSCALED:
        raise refused(raw, "rope_scaling", raw["rope_scaling"], "null or {'rope_type': 'default'}")
    if not isinstance(nested, dict):
        raise refused(raw, "rope_parameters", nested, "{'rope_type': 'default', 'rope_theta': ...}")
    found = {name: raw[name] for name in ROPE if name in raw}
    for name, value in check_fields(nested, "rope_parameters of config.json").items():
        if name in ("rope_type", "type"):
            if value != "default":
                raise refused(raw, name, value, "'default'")
        elif name not in ROPE:
            raise refused(raw, f"rope_parameters.{name}", value, "rope_type 'default' without it")
        elif found.setdefault(name, value) != value:
            raise UserError(
                f"config.json has {name} = {found[name]!r}, but {value!r} in rope_parameters; they"
                " must be the same."
            )
    if not partial:
        require(found, {"partial_rotary_factor": 1})
    wanted = pick({**found, "model_type": raw.get("model_type")}, *ROPE[: 1 + partial])
    numbers = {name: float(value) for name, value in wanted.items()}
    return {"rope_parameters": {"rope_type": "default", **numbers}}


def refused(raw: dict[str, Any], name: str, value: object, accepted: str) -> UserError:
    """Return the error for a setting that is not supported."""
    return UserError(
        f"config.json has {name} = {value!r}, which is not supported for model_type"
        f" {raw.get('model_type')!r}; supported is {accepted}."
    )
