"""From the raw `config.json` of a family to the arguments of its stock transformers class: chosen
fields, refused flags.

Raw configs are never passed on whole: fields that only the released code knows would leak into the
stock class, and a flag that the stock class does not have would silently not apply.
"""

from __future__ import annotations

from psd_lib.errors import UserError

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
STOCK = {"hidden_act": "silu", "rope_scaling": None, "use_sliding_window": False}


def llada(raw: dict) -> dict:
    """LLaDA's own field names to Llama's. Its flags must all be there: an absent one has the
    released code's default.

    One flag is not honoured: `rope_full_precision`. The released code rotates in float32 even in
    bfloat16, Llama rounds the angles' cosines to bfloat16 first; the difference lies within
    bfloat16's own noise and is none in float32.
    """
    pick(raw, *LLADA)
    require(raw, LLADA)
    renamed = {
        "vocab_size": "embedding_size",
        "hidden_size": "d_model",
        "intermediate_size": "mlp_hidden_size",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "num_key_value_heads": "n_kv_heads",
        "max_position_embeddings": "max_sequence_length",
        "rms_norm_eps": "rms_norm_eps",
    }
    pick(raw, *renamed.values())
    fields = {stock: raw[own] for stock, own in renamed.items()}
    heads = fields["num_key_value_heads"] or fields["num_attention_heads"]
    return {
        **fields,
        "num_key_value_heads": heads,
        "attention_bias": False,
        "mlp_bias": False,
        **rope(raw),
    }


def llada_moe(raw: dict) -> dict:
    """LLaDA-MoE to Qwen3-MoE; its released code does not normalise the top-k weights, whatever the
    config says.
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
            "partial_rotary_factor": 1.0,
        },
    )
    layers = pick(raw, "num_hidden_layers")["num_hidden_layers"]
    if raw.get("moe_layer_freq", [1] * layers) not in (1, [1] * layers):
        raise refused(raw, "moe_layer_freq", raw["moe_layer_freq"], "1 for every layer")
    names = [name for name in DECODER if name != "intermediate_size"]
    fields = pick(raw, *names, "num_experts", "num_experts_per_tok", "expert_intermediate_size")
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


def llada2(raw: dict) -> dict:
    """LLaDA2.x to GLM-4-MoE: sigmoid routing in groups with a correction bias, one shared expert,
    half of a head rotated.
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
    more = pick(raw, "num_experts", "num_shared_experts", "partial_rotary_factor")
    parameters = rope(raw)["rope_parameters"] | {
        "partial_rotary_factor": more["partial_rotary_factor"]
    }
    return {
        **fields,
        "n_routed_experts": more["num_experts"],
        "n_shared_experts": more["num_shared_experts"],
        "norm_topk_prob": True,
        "use_qk_norm": True,
        "attention_bias": False,
        "rope_parameters": parameters,
    }


def pangu(raw: dict) -> dict:
    """openPangu to Llama with a bias on all four attention projections."""
    require(raw, STOCK)
    fields = pick(raw, *DECODER, "bias")
    return {**fields, "attention_bias": fields.pop("bias"), "mlp_bias": False, **rope(raw)}


def qwen2(raw: dict) -> dict:
    """Qwen2's fields, as Dream and Fast-dLLM v2 have them."""
    require(raw, STOCK)
    return {**pick(raw, *DECODER), **rope(raw)}


def qwen3(raw: dict) -> dict:
    """Qwen3's fields, as SDAR has them."""
    require(raw, STOCK | {"attention_bias": False})
    return {**pick(raw, *DECODER, "head_dim"), **rope(raw)}


def pick(raw: dict, *names: str) -> dict:
    """The named fields. Raises UserError for those that are missing."""
    missing = [name for name in names if name not in raw]
    if missing:
        raise UserError(
            f"config.json lacks {', '.join(missing)}; a checkpoint of model_type"
            f" {raw.get('model_type')!r} has them."
        )
    return {name: raw[name] for name in names}


def require(raw: dict, flags: dict) -> None:
    """Raises UserError where a flag is there and asks for what the stock class does not compute."""
    for name, value in flags.items():
        if (
            name in raw
            and raw[name] != value
            and not (value in (None, False) and raw[name] in (None, False))
        ):
            raise refused(raw, name, raw[name], repr(value))


def rope(raw: dict) -> dict:
    """Rotary parameters from either place where configs keep them; without any, transformers would
    silently take 10,000.
    """
    nested = raw.get("rope_parameters") or {}
    kind = nested.get("rope_type", "default")
    if kind != "default":
        raise refused(raw, "rope_type", kind, "'default'")
    theta = raw.get("rope_theta") or nested.get("rope_theta")
    if theta is None:
        raise UserError(
            f"config.json lacks rope_theta; a checkpoint of model_type {raw.get('model_type')!r}"
            " has it."
        )
    return {"rope_parameters": {"rope_type": "default", "rope_theta": float(theta)}}


def refused(raw: dict, name: str, value: object, accepted: str) -> UserError:
    """The one sentence for a flag that is not supported."""
    return UserError(
        f"config.json has {name} = {value!r}, which is not supported for model_type"
        f" {raw.get('model_type')!r}; supported is {accepted}."
    )
