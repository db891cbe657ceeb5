"""What a checkpoint needs is known before it is read: from headers and config alone."""

import pytest
import torch
import transformers

import psd_lib
from psd_lib.errors import UserError
from psd_lib.models import FAMILIES, memory
from psd_lib.models.configs import LLADA
from psd_lib.models.loading import _usual
from psd_lib.models.weights import headers
from psd_lib.testing import save_checkpoint, tiny_model


def shape(vocab, hidden, ffn, layers, heads, kv, positions, theta, **more):
    return {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "max_position_embeddings": positions,
        "rms_norm_eps": 1e-6,
        "rope_theta": theta,
        "hidden_act": "silu",
        **more,
    }


# published shapes and totals: (family, config.json fields, parameters, K/V bytes per token in
# bfloat16); 16e9 is a round number
RELEASED = {
    "LLaDA-8B": (
        "llada",
        LLADA
        | {
            "embedding_size": 126464,
            "d_model": 4096,
            "mlp_hidden_size": 12288,
            "n_layers": 32,
            "n_heads": 32,
            "n_kv_heads": 32,
            "max_sequence_length": 4096,
            "rms_norm_eps": 1e-5,
            "rope_theta": 5e5,
        },
        8.016e9,
        524288,
    ),
    "Dream-7B": ("Dream", shape(152064, 3584, 18944, 28, 28, 4, 131072, 1e6), 7.616e9, 57344),
    "SDAR-8B": (
        "sdar",
        shape(151936, 4096, 12288, 36, 32, 8, 32768, 1e6, head_dim=128),
        16381470720 / 2,
        147456,
    ),
    "SDAR-4B": (
        "sdar",
        shape(151936, 2560, 9728, 36, 32, 8, 32768, 1e6, head_dim=128),
        8822848512 / 2,
        147456,
    ),
    "openPangu-7B": (
        "PanguEmbedded",
        shape(153376, 4096, 12800, 34, 32, 8, 32768, 1.6e7, bias=True),
        8030887936,
        139264,
    ),
    "LLaDA2-mini": (
        "llada2_moe",
        shape(
            157184,
            2048,
            5120,
            20,
            16,
            4,
            32768,
            6e5,
            head_dim=128,
            num_experts=256,
            num_experts_per_tok=8,
            num_shared_experts=1,
            moe_intermediate_size=512,
            n_group=8,
            topk_group=4,
            routed_scaling_factor=2.5,
            first_k_dense_replace=1,
            partial_rotary_factor=0.5,
        ),
        16e9,
        40960,
    ),
}


@pytest.mark.parametrize("name", RELEASED)
def test_released_shapes_give_the_published_sizes(name):
    """Independent of our tiny models: a swapped or lost config field would change the totals, exact
    where published so.
    """
    family, raw, parameters, cached = RELEASED[name]
    close = 0 if parameters % 1e6 else 0.05 if parameters == 16e9 else 1e-4
    family = FAMILIES[family]
    config = getattr(transformers, family.config_class)(
        **family.config(raw), tie_word_embeddings=False
    )
    with torch.device("meta"):
        network = getattr(transformers, family.architecture)(config)
    assert sum(weight.numel() for weight in network.parameters()) == pytest.approx(
        parameters, rel=close
    )
    assert memory.per_token(config, torch.bfloat16) == cached


def test_headers_count_what_the_network_has(tmp_path):
    model = tiny_model(0, family="llada")
    stored = headers(save_checkpoint(model, tmp_path / "tiny"))
    assert sum(header.size for header in stored.values()) == sum(
        p.numel() for p in model.denoiser.network.parameters()
    )


def test_what_does_not_fit_is_refused_before_weights_are_read(monkeypatch, tmp_path):
    folder = save_checkpoint(tiny_model(0), tmp_path / "tiny")
    monkeypatch.setattr(memory, "free_on", lambda device: 1000)
    monkeypatch.setattr(
        transformers.Qwen3ForCausalLM,
        "from_pretrained",
        lambda *_, **__: pytest.fail("read the weights"),
    )
    with pytest.raises(UserError, match=r"tiny needs .* but main memory has 0\.0 GB free"):
        psd_lib.load(folder)


def test_large_checkpoints_are_announced_and_small_ones_are_not(capsys):
    memory.announce("big", 8.016e9, torch.bfloat16, torch.device("cpu"), 524288)
    memory.announce("small", 1e6, torch.float32, torch.device("cpu"), 512)
    assert (
        capsys.readouterr().err
        == "big: 16.0 GB of weights in bfloat16 on cpu, 512 KiB per cached token\n"
    )


def test_a_containers_limit_counts(tmp_path):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert memory._group(tmp_path) == 450
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._group(tmp_path) is None


def test_an_unknown_device_is_refused():
    with pytest.raises(UserError, match="device 'tpu9' is not available here"):
        psd_lib.load("mini-sdar", device="tpu9")


def test_half_precision_from_a_billion_parameters_on():
    assert (_usual(1e6), _usual(8e9)) == (torch.float32, torch.bfloat16)
