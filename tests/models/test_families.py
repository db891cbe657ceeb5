"""Each family: a checkpoint in its released naming gives the logits of the stock network it was
made from.
"""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import DynamicCache

import psd_lib
from psd_lib.core.cache import ForwardRequest, FullForward, visibility
from psd_lib.core.canvas import Canvas
from psd_lib.errors import UserError
from psd_lib.models import FAMILIES
from psd_lib.testing import save_checkpoint, tiny_model

NAMES = list(FAMILIES)
WIDTH, LENGTH, PREFIX = 4, 16, 8


@pytest.fixture(params=NAMES)
def pair(request, tmp_path):
    """The stock network and the model loaded from the checkpoint that was made from it."""
    made = tiny_model(3, WIDTH, family=request.param)
    return made.denoiser.network, psd_lib.load(save_checkpoint(made, tmp_path / "tiny"))


def block_numbers(family, length):
    """Blocks in the terms of models.md, said once more: causal up to the last block, or blocks of
    WIDTH.
    """
    position = torch.arange(length)
    return (
        torch.where(position >= length - WIDTH, length - WIDTH, position)
        if family.causal_context
        else position // WIDTH
    )


def stock_mask(family, length):
    block = block_numbers(family, length)
    return (
        torch.ones(length, length, dtype=torch.bool)
        if family.sees_future
        else block[:, None] >= block
    )


def ids_of(seed, *shape):
    return torch.randint(2, 30, shape, generator=torch.Generator().manual_seed(seed))


def ours(model, ids, positions, visible, columns, **caches):
    row = torch.arange(len(ids)).repeat_interleave(len(columns))
    logits = model.denoiser.logits(ids, positions, visible, row, columns.repeat(len(ids)), **caches)
    return logits.reshape(len(ids), len(columns), -1)


def shifted(logits, family):
    """The prediction for position i is the output at i - 1; position 0 has none."""
    return logits[:, :-1] if family.shift else logits[:, 1:]


@torch.inference_mode()
def test_full_logits_equal_the_stock_networks(pair):
    stock, model = pair
    family, ids = model.family, ids_of(0, 2, LENGTH)
    if family.sees_future:
        expected = stock(ids, is_causal=False, use_cache=False).logits
    else:
        mask = stock_mask(family, LENGTH)[None, None].expand(2, -1, -1, -1)
        expected = stock(ids, attention_mask=mask, use_cache=False).logits
    positions = torch.arange(LENGTH).expand(2, -1)
    visible = visibility(positions, block_numbers(family, LENGTH).expand(2, -1), family.sees_future)
    found = ours(model, ids, positions, visible, torch.arange(1, LENGTH))
    torch.testing.assert_close(found, shifted(expected, family), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_padded_logits_equal_those_alone(pair):
    stock, model = pair
    family, ids, pad = model.family, ids_of(1, 1, LENGTH), 5
    expected = stock(
        ids, attention_mask=stock_mask(family, LENGTH)[None, None], use_cache=False
    ).logits
    positions = torch.arange(-pad, LENGTH)[None]
    blocks = torch.cat([torch.full((pad,), -1), block_numbers(family, LENGTH)])[None]
    padded = torch.cat([torch.zeros(1, pad, dtype=torch.long), ids], 1)
    found = ours(
        model,
        padded,
        positions,
        visibility(positions, blocks, family.sees_future),
        pad + torch.arange(1, LENGTH),
    )
    torch.testing.assert_close(found, shifted(expected, family), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_block_against_cached_columns_equals_the_stock_network_with_its_own_cache(pair):
    stock, model = pair
    family, ids = model.family, ids_of(2, 1, PREFIX + WIDTH)
    prefix, block = ids.split([PREFIX, WIDTH], 1)
    seen = block_numbers(family, PREFIX + WIDTH)[:PREFIX]
    within = (
        torch.ones(PREFIX, PREFIX, dtype=torch.bool)
        if family.sees_future
        else seen[:, None] >= seen
    )
    cache = DynamicCache()
    stock(prefix, attention_mask=within[None, None], past_key_values=cache, use_cache=True)
    everything = torch.ones(1, 1, WIDTH, PREFIX + WIDTH, dtype=torch.bool)
    expected = stock(block, attention_mask=everything, past_key_values=cache, use_cache=True).logits

    made = []
    positions = torch.arange(PREFIX + WIDTH)[None]
    visible = visibility(positions[:, :PREFIX], seen[None], family.sees_future)
    ours(model, prefix, positions[:, :PREFIX], visible, torch.arange(1, PREFIX), new=made)
    found = ours(
        model, block, positions[:, PREFIX:], everything, torch.arange(1, WIDTH), stored=made
    )
    torch.testing.assert_close(found, shifted(expected, family), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("name", [name for name in NAMES if FAMILIES[name].shift])
def test_the_first_position_of_a_block_gets_its_true_prediction(name):
    """A placeholder, row 0 of the block's own outputs, would be another position's prediction."""
    model = tiny_model(5, WIDTH, family=name)
    family, network = model.family, model.denoiser.network
    prompt = ids_of(6, 1, WIDTH)
    canvas = Canvas(model.denoiser, prompt.tolist(), gen_length=WIDTH, width=WIDTH, device="cpu")
    tokens, wanted = canvas.window()
    ask = ForwardRequest(
        tokens[:, None], wanted[:, None], torch.zeros(1, 1, dtype=torch.bool), canvas.start
    )
    answer = FullForward(model.denoiser, canvas).forward(ask).logits
    whole = torch.cat([prompt, torch.full((1, WIDTH), model.mask_id)], 1)
    hidden = network(
        whole, attention_mask=stock_mask(family, 2 * WIDTH)[None, None], use_cache=False
    ).logits[0]
    torch.testing.assert_close(answer[0], hidden[WIDTH - 1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(answer[0], hidden[WIDTH], atol=1e-2)


@torch.inference_mode()
def test_the_autoregressive_family_decodes_what_stock_generate_does():
    model = tiny_model(7, 1, family="qwen3")
    prompts = [ids_of(8, 5).tolist(), ids_of(9, 11).tolist()]
    for cache in ("none", "exact_block"):
        out = psd_lib.generate(model, prompts, decoder="greedy", gen_length=20, cache=cache)
        for prompt, sequence in zip(prompts, out, strict=True):
            ids = torch.tensor([prompt])
            expected = model.denoiser.network.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=20,
                do_sample=False,
                eos_token_id=0,
                pad_token_id=0,
                suppress_tokens=[1, 30, 31],
            )[0, len(prompt) :].tolist()
            assert sequence.tokens == (expected[: expected.index(0)] if 0 in expected else expected)
            assert sequence.nfe <= 20
    assert (
        out.ledger.query_tokens < 2 * (5 + 11) + 2 * 20
    )  # one token a step: the block's masks do not run ahead


@torch.inference_mode()
def test_a_causal_context_is_decoded_as_openpangu_does():
    """Prompt and finished blocks encoded causally, block bidirectional against their K/V, no store
    of what was guessed.
    """
    model = tiny_model(11, WIDTH, family="PanguEmbedded")
    network, prompt = model.denoiser.network, ids_of(12, 6).tolist()
    out = psd_lib.generate(
        model, [prompt], decoder="greedy", gen_length=2 * WIDTH, cache="exact_block"
    )[0]
    context, found = list(prompt), []
    for _ in range(2):
        cache = DynamicCache()
        last = network(torch.tensor([context]), past_key_values=cache, use_cache=True).logits[0, -1]
        block = [model.mask_id] * WIDTH
        while model.mask_id in block:
            keys = len(context) + WIDTH
            mask = torch.ones(1, 1, WIDTH, keys, dtype=torch.bool)
            logits = network(
                torch.tensor([block]), attention_mask=mask, past_key_values=cache, use_cache=True
            ).logits[0]
            cache.crop(-WIDTH)
            logits = torch.cat([last[None], logits[:-1]])
            logits[:, [1, 30, 31]] = float("-inf")
            sure, token = logits.softmax(-1).max(-1)
            sure[torch.tensor(block) != model.mask_id] = -1
            block[int(sure.argmax())] = int(token[sure.argmax()])
        context, found = context + block, found + block
        if 0 in block:
            break
    assert out.tokens == (found[: found.index(0)] if 0 in found else found)


def test_stock_tensor_names_of_a_llada_checkpoint_pass_unchanged(tmp_path):
    """So that the same folder also loads with the stock class alone."""
    made = tiny_model(3, WIDTH, family="llada")
    folder = save_checkpoint(made, tmp_path / "tiny")
    weights = {name: weight.clone() for name, weight in made.denoiser.network.state_dict().items()}
    assert not weights.keys() & load_file(folder / "model.safetensors").keys()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    loaded = psd_lib.load(folder).denoiser.network.state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in weights.items())


def test_trap_llada_moe_does_not_normalise_its_top_experts_though_its_config_says_so(tmp_path):
    folder = save_checkpoint(tiny_model(0, family="llada_moe"), tmp_path / "tiny")
    assert json.loads((folder / "config.json").read_text())["norm_topk_prob"] is True
    assert psd_lib.load(folder).denoiser.network.config.norm_topk_prob is False


@pytest.mark.parametrize("name", ["SDAR-4B-Chat-b64", "x"])
def test_the_block_length_of_early_sdar_uploads_is_in_their_name(tmp_path, name):
    folder = save_checkpoint(tiny_model(0), tmp_path / name)
    edit_config(folder, block_size="drop")
    assert psd_lib.load(folder).block_length == (64 if name.endswith("b64") else 4)


def edit_config(folder, **changes):
    path = folder / "config.json"
    raw = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in raw.items() if value != "drop"}))


FLAGS = {
    "llada": {
        "block_type": "sequential",
        "rope": False,
        "include_qkv_bias": True,
        "scale_logits": True,
        "block_group_size": 2,
    },
    "Dream": {"rope_scaling": {"type": "yarn"}, "use_sliding_window": True},
    "sdar": {"attention_bias": True, "hidden_act": "gelu"},
    "PanguEmbedded": {"rope_parameters": {"rope_type": "yarn"}},
    "llada_moe": {
        "moe_router_enable_expert_bias": True,
        "shared_expert_intermediate_size": 8,
        "moe_layer_freq": [0, 1],
    },
    "llada2_moe": {"use_qkv_bias": True, "score_function": "softmax"},
}


@pytest.mark.parametrize(
    ("name", "flag"), [(name, flag) for name, flags in FLAGS.items() for flag in flags]
)
def test_a_flag_that_the_stock_class_does_not_have_is_refused_by_name(tmp_path, name, flag):
    folder = save_checkpoint(tiny_model(0, WIDTH, family=name), tmp_path / "tiny")
    edit_config(folder, **{flag: FLAGS[name][flag]})
    with pytest.raises(
        UserError, match=f"config.json has {'rope_type' if flag == 'rope_parameters' else flag} = "
    ) as caught:
        psd_lib.load(folder)
    assert "\n" not in str(caught.value)


def test_an_absent_llada_flag_is_refused_because_the_released_default_would_apply(tmp_path):
    folder = save_checkpoint(tiny_model(0, WIDTH, family="llada"), tmp_path / "tiny")
    edit_config(folder, block_type="drop", alibi="drop")
    with pytest.raises(UserError, match=r"config\.json lacks block_type, alibi"):
        psd_lib.load(folder)


def test_a_missing_tensor_is_named_as_the_checkpoint_names_it(tmp_path):
    folder = save_checkpoint(tiny_model(0, WIDTH, family="llada"), tmp_path / "tiny")
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.transformer.blocks.1.ff_proj.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        UserError, match=r"missing tensors model\.transformer\.blocks\.1\.ff_proj\.weight"
    ):
        psd_lib.load(folder)
