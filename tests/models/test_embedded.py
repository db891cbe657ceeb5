"""The shipped checkpoints: ordinary ones of their families, of the size and quality that their
cards say.
"""

import json

import pytest
import torch
import transformers

import psd_lib
from psd_lab.paths import MODELS
from psd_lab.training.card import card
from psd_lab.training.recipes import RECIPES
from psd_lib.core.cache import visibility

NAMES = sorted(folder.parent.name for folder in MODELS.glob("*/config.json"))
DIFFUSION = ["mini-dream", "mini-llada", "mini-sdar"]
WITH_DRAFT = [*DIFFUSION, "mini-sdar-draft"]
TASKS = ["mini-gsm", "mini-humaneval", "mini-mbpp"]
MIB = 1 << 20


def record(name):
    return json.loads((MODELS / name / "training.json").read_text())


def score(name, task, decoder):
    (found,) = [s for s in record(name)["scores"] if (s["task"], s["decoder"]) == (task, decoder)]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_stock_class_alone_gives_the_same_logits(name):
    """No code of ours: the folder, the Hugging Face class, and the mask that the family's attention
    means.
    """
    ours = psd_lib.load(name, device="cpu")
    family, block = ours.family, ours.block_length
    config = getattr(transformers, family.config_class).from_pretrained(MODELS / name)
    stock, report = getattr(transformers, family.architecture).from_pretrained(
        MODELS / name,
        config=config,
        dtype=torch.float32,
        attn_implementation="sdpa",
        output_loading_info=True,
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids = torch.tensor([ours.tokenizer.encode("def add(a, b):\n    return ") + [ours.mask_id] * 40])
    at = torch.arange(ids.shape[1])
    everything = torch.ones(len(at), len(at), dtype=torch.bool)
    mask = everything if family.sees_future else at[:, None] // block >= at // block
    logits = stock.eval()(input_ids=ids, attention_mask=mask[None, None], use_cache=False).logits[0]
    visible = visibility(at[None], at[None] // block, family.sees_future)
    asked = at[1:]
    mine = ours.denoiser.logits(ids, at[None], visible, torch.zeros_like(asked), asked)
    torch.testing.assert_close(mine, logits[asked - int(family.shift)], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_what_was_measured_and_names_its_recipe(name):
    assert (MODELS / name / "README.md").read_text() == card(record(name))
    assert name in RECIPES and record(name)["recipe"]["family"] == RECIPES[name].family


def test_models_are_small_and_share_one_tokenizer():
    sizes = {name: sum(file.stat().st_size for file in (MODELS / name).iterdir()) for name in NAMES}
    assert max(sizes.values()) <= 12 * MIB and sum(sizes.values()) <= 40 * MIB
    assert len({(MODELS / name / "tokenizer.json").read_bytes() for name in NAMES}) == 1
    assert sizes["mini-sdar-draft"] < 0.6 * sizes["mini-sdar"]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", WITH_DRAFT)
def test_two_tokens_a_forward_are_within_reach(name, task):
    assert score(name, task, "confidence 0.9")["tpf"] >= 2.0


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", DIFFUSION)
def test_greedy_leaves_room_to_lose_and_something_to_lose(name, task):
    found = score(name, task, "greedy")
    assert (
        found["high"] >= 0.70 and found["low"] <= 0.97
    )  # what the card's interval does not rule out


@pytest.mark.parametrize("name", WITH_DRAFT)
def test_committing_eight_tokens_blindly_has_a_visible_price(name):
    loss = [
        score(name, t, "greedy")["accuracy"] - score(name, t, "top-k 8")["accuracy"] for t in TASKS
    ]
    assert max(loss) >= 0.1
