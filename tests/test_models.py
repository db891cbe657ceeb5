"""Loading: checkpoints are ordinary ones, and a broken one is refused with what is wrong."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen3Config, Qwen3ForCausalLM

import psd_lib
from psd_lib.decoding.caches import visibility
from psd_lib.errors import UserError
from psd_lib.testing import save_checkpoint, tiny_model


@pytest.fixture
def folder(tmp_path):
    return save_checkpoint(tiny_model(4), tmp_path / "tiny")


def test_round_trip_gives_the_same_logits_and_facts(folder):
    original, loaded = tiny_model(4), psd_lib.load(folder)
    assert (loaded.mask_id, loaded.eos_id, loaded.block_length, loaded.max_positions) == (1, 0, 8, 256)
    assert loaded.denoiser.vocab_size == 30
    prompts = ["w3 w4 w5", "w9 w8 w7 w6"]
    one, other = (psd_lib.generate(model, prompts, gen_length=16) for model in (original, loaded))
    assert [s.tokens for s in one] == [s.tokens for s in other]


def test_the_stock_class_alone_with_the_right_mask_gives_the_same_logits(folder):
    """No code of ours is needed to use the checkpoint: a 4-D block-causal mask on Qwen3ForCausalLM is enough."""
    model = psd_lib.load(folder)
    raw = json.loads((folder / "config.json").read_text())
    raw.pop("model_type")
    stock = Qwen3ForCausalLM.from_pretrained(folder, config=Qwen3Config(**raw), attn_implementation="sdpa").eval()
    ids = torch.randint(2, 30, (2, 20), generator=torch.Generator().manual_seed(0))
    block = torch.arange(20) // 8
    with torch.inference_mode():
        expected = stock(ids, attention_mask=(block[:, None] >= block)[None, None].expand(2, -1, -1, -1)).logits
    positions = torch.arange(20).expand(2, -1)
    row, column = torch.arange(2).repeat_interleave(20), torch.arange(20).repeat(2)
    ours = model.denoiser.logits(ids, positions, visibility(positions, block.expand(2, -1), False), row, column)
    torch.testing.assert_close(ours.reshape(2, 20, -1), expected, atol=1e-5, rtol=1e-5)


def test_left_padding_changes_nothing():
    model = tiny_model(5)
    ids = torch.randint(2, 30, (1, 12), generator=torch.Generator().manual_seed(1))
    positions, column, row = torch.arange(12)[None], torch.arange(12), torch.zeros(12, dtype=torch.long)
    alone = model.denoiser.logits(ids, positions, visibility(positions, positions // 8, False), row, column)
    padded_positions = torch.arange(-5, 12)[None]
    padded = torch.cat([torch.zeros(1, 5, dtype=torch.long), ids], 1)
    blocks = padded_positions.div(8, rounding_mode="floor")
    visible = visibility(padded_positions, blocks, False)
    beside = model.denoiser.logits(padded, padded_positions, visible, row, column + 5)
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=1e-5)


def test_visibility_docstring_example():
    positions = torch.tensor([[-1, 0, 1, 2]])
    blocks = positions.div(2, rounding_mode="floor")
    assert visibility(positions, blocks, False)[0, 0].int().tolist() == [[0, 1, 1, 1], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
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
    "unknown family": (lambda f: edit_config(f, model_type="gpt2"), "model_type 'gpt2' is not supported; supported are: sdar, llada, Dream"),
    "config lacks a field": (lambda f: edit_config(f, model_type="sdar") or drop(f, "head_dim"), "config.json lacks head_dim"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
    "truncated": (lambda f: truncate(f / "model.safetensors"), "truncated or damaged"),
    "wrong shape": (lambda f: edit_config(f, intermediate_size=48), "wrong-shape tensors"),
    "missing tensor": (lambda f: edit_weights(f, lambda w: w.pop("model.norm.weight")), "missing tensors model.norm.weight"),
    "unexpected tensor": (lambda f: edit_weights(f, lambda w: w.update(extra=torch.ones(2))), "unexpected tensors extra"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json"),
}


def drop(folder, name):
    path = folder / "config.json"
    raw = json.loads(path.read_text())
    raw.pop(name)
    path.write_text(json.dumps(raw))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("case", BREAKAGES)
def test_a_broken_checkpoint_is_refused_in_one_sentence(folder, case):
    breakage, words = BREAKAGES[case]
    breakage(folder)
    with pytest.raises(UserError, match=words) as caught:
        psd_lib.load(folder)
    assert "\n" not in str(caught.value)


def test_unknown_dtype_is_refused(folder):
    with pytest.raises(UserError, match="unknown dtype 'int8'"):
        psd_lib.load(folder, dtype="int8")
