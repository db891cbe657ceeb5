"""Loading: checkpoints are ordinary ones, and a broken one is refused with what is wrong."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen3Config, Qwen3ForCausalLM

import psd_lib
from psd_lib.core.cache import visibility
from psd_lib.errors import UserError
from psd_lib.testing import save_checkpoint, tiny_model


@pytest.fixture
def folder(tmp_path):
    return save_checkpoint(tiny_model(4), tmp_path / "tiny")


def test_round_trip_gives_the_same_logits_and_facts(folder):
    original, loaded = tiny_model(4), psd_lib.load(folder)
    assert (loaded.mask_id, loaded.eos_id, loaded.block_length, loaded.max_positions) == (
        1,
        0,
        8,
        256,
    )
    assert loaded.denoiser.vocab_size == 30
    prompts = ["w3 w4 w5", "w9 w8 w7 w6"]
    one, other = (psd_lib.generate(model, prompts, gen_length=16) for model in (original, loaded))
    assert [s.tokens for s in one] == [s.tokens for s in other]


def test_the_stock_class_alone_with_the_right_mask_gives_the_same_logits(folder):
    """No code of ours is needed to use the checkpoint: a 4-D block-causal mask on Qwen3ForCausalLM
    is enough.
    """
    model = psd_lib.load(folder)
    raw = json.loads((folder / "config.json").read_text())
    raw.pop("model_type")
    stock = Qwen3ForCausalLM.from_pretrained(
        folder, config=Qwen3Config(**raw), attn_implementation="sdpa"
    ).eval()
    ids = torch.randint(2, 30, (2, 20), generator=torch.Generator().manual_seed(0))
    block = torch.arange(20) // 8
    with torch.inference_mode():
        expected = stock(
            ids, attention_mask=(block[:, None] >= block)[None, None].expand(2, -1, -1, -1)
        ).logits
    positions = torch.arange(20).expand(2, -1)
    row, column = torch.arange(2).repeat_interleave(20), torch.arange(20).repeat(2)
    ours = model.denoiser.logits(
        ids, positions, visibility(positions, block.expand(2, -1), False), row, column
    )
    torch.testing.assert_close(ours.reshape(2, 20, -1), expected, atol=1e-5, rtol=1e-5)


def test_left_padding_changes_nothing():
    model = tiny_model(5)
    ids = torch.randint(2, 30, (1, 12), generator=torch.Generator().manual_seed(1))
    positions, column, row = (
        torch.arange(12)[None],
        torch.arange(12),
        torch.zeros(12, dtype=torch.long),
    )
    alone = model.denoiser.logits(
        ids, positions, visibility(positions, positions // 8, False), row, column
    )
    padded_positions = torch.arange(-5, 12)[None]
    padded = torch.cat([torch.zeros(1, 5, dtype=torch.long), ids], 1)
    blocks = padded_positions.div(8, rounding_mode="floor")
    visible = visibility(padded_positions, blocks, False)
    beside = model.denoiser.logits(padded, padded_positions, visible, row, column + 5)
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=1e-5)


def test_visibility_docstring_example():
    positions = torch.tensor([[-1, 0, 1, 2]])
    blocks = positions.div(2, rounding_mode="floor")
    assert visibility(positions, blocks, False)[0, 0].int().tolist() == [
        [0, 1, 1, 1],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 1],
    ]
    assert visibility(positions, blocks, True)[0, 0].int().tolist() == [[0, 1, 1, 1]] * 4


def test_fingerprint_follows_weights_and_config(folder):
    before = psd_lib.load(folder).fingerprint
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert psd_lib.load(folder).fingerprint != before


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


BREAKAGES = {
    "missing folder": (lambda f: f.rename(f.parent / "gone"), "no checkpoint"),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "damaged config": (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
    "unknown family": (
        lambda f: edit_config(f, model_type="gpt2"),
        "model_type 'gpt2' is not supported; supported are: sdar, llada, Dream",
    ),
    "config lacks a field": (
        lambda f: edit_config(f, model_type="sdar") or drop(f, "head_dim"),
        "config.json lacks head_dim",
    ),
    "damaged generation config": (
        lambda f: (f / "generation_config.json").write_text("{"),
        "generation_config.json is not valid JSON",
    ),
    "empty index": (
        lambda f: (
            (f / "model.safetensors").rename(f / "model.safetensors.index.json").write_text("{}")
        ),
        "index.json lists no weights",
    ),
    "config is no object": (
        lambda f: (f / "config.json").write_text("[]"),
        "config.json holds no JSON object",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
    "truncated": (lambda f: truncate(f / "model.safetensors"), "truncated or damaged"),
    "half-downloaded shard": (
        lambda f: shard(f, truncate),
        "model-00002-of-00002.safetensors is truncated or damaged",
    ),
    "missing shard": (
        lambda f: shard(f, lambda p: p.unlink()),
        "lists model-00002-of-00002.safetensors, which is missing",
    ),
    "surplus layer": (
        lambda f: edit_config(f, num_hidden_layers=1),
        "unexpected tensors model.layers.1",
    ),
    "other vocabulary": (
        lambda f: edit_config(f, vocab_size=31),
        "a vocabulary of 31, but .* has 32 rows",
    ),
    "no rope theta": (lambda f: drop(f, "rope_theta"), "config.json lacks rope_theta"),
    "wrong shape": (lambda f: edit_config(f, intermediate_size=48), "wrong-shape tensors"),
    "missing tensor": (
        lambda f: edit_weights(f, lambda w: w.pop("model.norm.weight")),
        "missing tensors model.norm.weight",
    ),
    "unexpected tensor": (
        lambda f: edit_weights(f, lambda w: w.update(extra=torch.ones(2))),
        "unexpected tensors extra",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json"),
}


def drop(folder, name):
    path = folder / "config.json"
    raw = json.loads(path.read_text())
    raw.pop(name)
    path.write_text(json.dumps(raw))


def shard(folder, damage):
    """Split the weights in two files with an index, and damage the second."""
    weights = sorted(load_file(folder / "model.safetensors").items())
    (folder / "model.safetensors").unlink()
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for name, part in zip(names, (weights[:9], weights[9:]), strict=True):
        save_file(dict(part), folder / name, {"format": "pt"})
    index = {key: names[number >= 9] for number, (key, _) in enumerate(weights)}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": index})
    )
    damage(folder / names[1])


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("case", BREAKAGES)
def test_a_broken_checkpoint_is_refused_in_one_sentence(folder, case):
    breakage, words = BREAKAGES[case]
    breakage(folder)
    with pytest.raises(UserError, match=words) as caught:
        psd_lib.load(folder)
    assert "\n" not in str(caught.value)


def test_a_sharded_checkpoint_loads(folder):
    expected = psd_lib.load(folder).denoiser.network.state_dict()
    shard(folder, lambda path: None)
    loaded = psd_lib.load(folder).denoiser.network.state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in expected.items())


def test_trap_a_stored_head_is_not_tied_whatever_the_config_says(folder):
    expected = load_file(folder / "model.safetensors")
    edit_config(folder, tie_word_embeddings=True)
    network = psd_lib.load(folder).denoiser.network
    assert torch.equal(network.lm_head.weight, expected["lm_head.weight"])
    assert not torch.equal(network.lm_head.weight, network.model.embed_tokens.weight)


def test_a_tied_checkpoint_without_a_head_takes_the_embedding_and_an_untied_one_is_refused(folder):
    edit_weights(folder, lambda weights: weights.pop("lm_head.weight"))
    with pytest.raises(UserError, match=r"missing tensors lm_head\.weight"):
        psd_lib.load(folder)
    edit_config(folder, tie_word_embeddings=True)
    network = psd_lib.load(folder).denoiser.network
    assert torch.equal(network.lm_head.weight, network.model.embed_tokens.weight)


def test_trap_rotary_frequencies_stay_float32_in_bfloat16(folder):
    network = psd_lib.load(folder, dtype="bfloat16").denoiser.network
    exact = psd_lib.load(folder).denoiser.network.model.rotary_emb.inv_freq
    assert {weight.dtype for weight in network.parameters()} == {torch.bfloat16}
    assert network.model.rotary_emb.inv_freq.dtype == torch.float32
    assert torch.equal(network.model.rotary_emb.inv_freq, exact)


def test_trap_fields_of_the_raw_config_do_not_leak_into_the_stock_one(folder):
    """SDAR's config asks for flex_attention, under which a tensor mask aborts the process."""
    edit_config(
        folder,
        attn_implementation="flex_attention",
        is_causal=True,
        dtype="bfloat16",
        fuse_cross_entropy=True,
    )
    config = psd_lib.load(folder).denoiser.network.config
    assert (config._attn_implementation, config.model_type) == ("sdpa", "qwen3")
    assert not hasattr(config, "fuse_cross_entropy")


def test_leftover_rotary_buffers_are_ignored(folder):
    """openPangu stores them: they are no weights, and are not counted as unexpected."""
    edit_weights(
        folder, lambda w: w.update({"model.layers.1.self_attn.rotary_emb.inv_freq": torch.ones(8)})
    )
    psd_lib.load(folder)


@pytest.mark.parametrize("mask", ["three dimensions", "float", "eager"])
def test_trap_masks_that_stock_classes_would_silently_misread_are_refused(mask):
    model = tiny_model(0)
    ids, row = torch.tensor([[3, 4]]), torch.zeros(1, dtype=torch.long)
    visible = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    if mask == "eager":
        model.denoiser.network.set_attn_implementation("eager")
    else:
        visible = visible[0] if mask == "three dimensions" else visible.float()
    with pytest.raises(TypeError, match="bool masks only in four dimensions and with sdpa"):
        model.denoiser.logits(ids, torch.arange(2)[None], visible, row, row)


def test_trap_equal_positions_side_by_side_are_not_taken_for_packed_sequences():
    """Two drafts of one block in a row, repeated positions: each equals itself alone."""
    model, ids = (
        tiny_model(6),
        torch.randint(2, 30, (2, 8), generator=torch.Generator().manual_seed(3)),
    )
    position, column = torch.arange(8), torch.arange(8)
    alone = model.denoiser.logits(
        ids,
        position.expand(2, -1),
        torch.ones(2, 1, 8, 8, dtype=torch.bool),
        torch.arange(2).repeat_interleave(8),
        column.repeat(2),
    )
    own = torch.block_diag(torch.ones(8, 8), torch.ones(8, 8)).bool()[None, None]
    packed = model.denoiser.logits(
        ids.reshape(1, 16),
        position.repeat(2)[None],
        own,
        torch.zeros(16, dtype=torch.long),
        torch.arange(16),
    )
    torch.testing.assert_close(packed, alone, atol=1e-5, rtol=1e-5)


def test_unknown_dtype_is_refused(folder):
    with pytest.raises(UserError, match="unknown dtype 'int8'"):
        psd_lib.load(folder, dtype="int8")
