"""Training: who sees whom, what a seed and a checkpoint promise, and what is written at the end."""

import contextlib
import json
import re
import resource
from dataclasses import replace

import pytest
import torch
import transformers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

import psd_lib
from psd_lab import paths
from psd_lab.tasks import Example
from psd_lab.training import batches, states
from psd_lab.training.batches import Batch, Batches
from psd_lab.training.card import card, write_card
from psd_lab.training.checkpoints import load_state, read_log
from psd_lab.training.export import export, save_tokenizer
from psd_lab.training.network import Shape, build
from psd_lab.training.objectives import block_diffusion_loss, full_attention_loss, two_stream_mask
from psd_lab.training.recipe import Recipe, Stage
from psd_lab.training.recipes import RECIPES
from psd_lab.training.session import budgeted, find_device, find_recipe, prepare_tokenizer, train
from psd_lab.training.states import answer_weights, draw_one_block, draw_state
from psd_lab.training.trainer import Trainer
from psd_lib.errors import UserError
from psd_lib.models import hub
from psd_lib.models.families import family_of

MICRO = Recipe(
    stages=(
        Stage("causal", "next_token", steps=4, warmup=2, drills=0.5),
        Stage(
            "blocks",
            "block_diffusion",
            steps=4,
            warmup=2,
            drills=0.5,
            full_attention=0.5,
            blocks=((0.0, {4: 0.5, 16: 0.5}),),
        ),
    ),
    shape=Shape(vocab=320, hidden=16, layers=1, heads=2, head_dim=8, ffn=24),
    tokens=400,
    tokenizer_examples=60,
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return prepare_tokenizer(MICRO, tmp_path_factory.mktemp("tokenizer"))


def trained(folder, tokenizer, steps, recipe=MICRO):
    """Losses of up to `steps` steps of a run in `folder`, the checkpoint saved at the end."""
    folder.mkdir(exist_ok=True)
    trainer = Trainer(recipe, tokenizer, folder)
    losses, step = [], trainer.step

    class Enough(Exception):
        pass

    def counted(stage):
        if len(losses) == steps:
            trainer._save()
            raise Enough
        losses.append(step(stage))

    trainer.step = counted
    with contextlib.suppress(Enough):
        trainer.run()
    return losses


def test_two_stream_mask_of_two_blocks_literally():
    noisy, clean = torch.tensor([[2, 3]]), torch.tensor([[0, 1, 2, 3]])
    expected = [  # columns: noisy 2 3 | clean 0 1 2 3
        [1, 1, 1, 1, 0, 0],  # noisy 2
        [1, 1, 1, 1, 0, 0],  # noisy 3
        [0, 0, 1, 1, 0, 0],  # clean 0
        [0, 0, 1, 1, 0, 0],  # clean 1
        [0, 0, 1, 1, 1, 1],  # clean 2
        [0, 0, 1, 1, 1, 1],  # clean 3
    ]
    assert two_stream_mask(noisy, clean, block=2).int().tolist() == [[expected]]


def rows():
    """Two rows of 12 tokens: prompts of 3 and 6, the second with end-of-text behind its ninth
    token.
    """
    ids = torch.randint(2, 300, (2, 12), generator=torch.Generator().manual_seed(0))
    return Batch(ids, torch.tensor([3, 6]), torch.tensor([12, 9]))


@pytest.mark.parametrize("shift", [False, True])
def test_one_pass_over_two_streams_equals_decoding_block_by_block(shift):
    model, batch = build("sdar", MICRO.shape, 0, 0), rows()
    state = draw_state(batch, 4, 0.5, torch.Generator().manual_seed(3))
    total = 0.0
    for row in range(2):
        for start in range(0, 12, 4):
            masked, weight = (
                state.masked[row, start : start + 4],
                state.weights[row, start : start + 4],
            )
            if not masked.any():
                continue
            canvas = torch.cat(
                [batch.ids[row, :start], torch.where(masked, 1, batch.ids[row, start : start + 4])]
            )[None]
            block = torch.arange(start + 4) // 4
            mask = (block[:, None] >= block[None, :])[None, None]
            logits = model(input_ids=canvas, attention_mask=mask, use_cache=False).logits[0]
            logits = logits.roll(1, 0)[start:] if shift else logits[start:]
            losses = torch.nn.functional.cross_entropy(
                logits, batch.ids[row, start : start + 4], reduction="none"
            )
            total += (losses * weight)[masked].sum()
    loss = block_diffusion_loss(model, batch, state, 4, mask_id=1, shift=shift)
    torch.testing.assert_close(loss.total, total, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shift", [False, True])
def test_full_attention_loss_reads_what_every_position_saw(shift):
    model, batch = build("sdar", MICRO.shape, 0, 0), rows()
    state = draw_one_block(batch, 4, 0.5, torch.Generator().manual_seed(3))
    mask = torch.ones(2, 1, 12, 12, dtype=torch.bool)
    logits = model(
        input_ids=batch.ids.masked_fill(state.masked, 1), attention_mask=mask, use_cache=False
    ).logits
    logits = logits.roll(1, 1) if shift else logits
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.ids.flatten(), reduction="none"
    )
    loss = full_attention_loss(model, batch, state, mask_id=1, shift=shift)
    torch.testing.assert_close(
        loss.total, (losses * state.weights.flatten()).sum(), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(loss.weight, state.weights.sum())


def test_one_block_is_noisy_before_it_all_is_clean_and_behind_it_all_masked():
    batch = Batch(
        torch.full((60, 32), 5), torch.randint(1, 20, (60,)), torch.randint(21, 32, (60,))
    )
    state = draw_one_block(batch, 8, 0.5, torch.Generator().manual_seed(0))
    at = torch.arange(32)
    for masked, weights, prompt in zip(state.masked, state.weights, batch.prompts, strict=True):
        block = torch.where(at < prompt, -1, (at - prompt) // 8)
        (current,) = block[weights > 0].unique().tolist()
        assert current >= 0
        assert masked[block == current].any()
        assert not masked[block < current].any()
        assert masked[block > current].all()
        assert torch.equal(weights > 0, masked & (block == current))


def test_states_mask_answers_only_and_every_answer_block_somewhere():
    batch = Batch(
        torch.full((40, 64), 5), torch.randint(1, 40, (40,)), torch.randint(41, 60, (40,))
    )
    for block in (4, 8, 16, 32):
        state = draw_state(batch, block, 0.6, torch.Generator().manual_seed(block))
        at = torch.arange(64)[None]
        assert not (state.masked & (at < batch.prompts[:, None])).any()
        has_answer = (answer_weights(batch) > 0).view(40, -1, block).any(-1)
        assert torch.equal(state.masked.view(40, -1, block).any(-1), has_answer)
        assert (state.weights[state.masked] > 0).all() and (state.weights[~state.masked] == 0).all()
        assert state.weights.max() <= states.HEAVIEST


def test_hidden_positions_stay_masked_behind_the_first_masked_one_of_a_window():
    batch = Batch(torch.full((50, 32), 5), torch.zeros(50, dtype=torch.long), torch.full((50,), 32))
    hidden = torch.rand(50, 32, generator=torch.Generator().manual_seed(0)) < 0.3
    state = draw_state(batch, 16, 1.0, torch.Generator().manual_seed(1), hidden)
    for masked, behind in zip(state.masked.view(-1, 16), hidden.view(-1, 16), strict=True):
        first = int(masked.int().argmax())
        assert masked[first:][behind[first:]].all()
    assert not state.masked.all()


def test_a_block_weighs_as_much_as_it_has_answer_tokens():
    batch = Batch(torch.full((6, 8), 5), torch.zeros(6, dtype=torch.long), torch.full((6,), 8))
    state = draw_state(batch, 8, 0.5, torch.Generator().manual_seed(1))
    torch.testing.assert_close(state.weights.sum(1), torch.full((6,), 8.0))


def test_same_seed_same_losses_and_another_seed_others(tmp_path, tokenizer):
    first = trained(tmp_path / "a", tokenizer, 3)
    assert first == trained(tmp_path / "b", tokenizer, 3)
    assert first != trained(tmp_path / "c", tokenizer, 3, replace(MICRO, seed=7))


@pytest.mark.thorough
def test_resumed_run_goes_on_as_if_it_had_not_stopped(tmp_path, tokenizer):
    whole = trained(tmp_path / "whole", tokenizer, 8)
    parts = trained(tmp_path / "parts", tokenizer, 3) + trained(tmp_path / "parts", tokenizer, 8)
    assert len(whole) == 8
    assert parts == whole


def test_loss_that_is_not_finite_leaves_the_last_checkpoint(tmp_path, tokenizer, monkeypatch):
    trained(tmp_path, tokenizer, 2)
    before = (tmp_path / "state.pt").read_bytes()
    trainer = Trainer(MICRO, tokenizer, tmp_path)
    with torch.no_grad():
        trainer.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="no longer finite at step 3"):
        trainer.run()
    assert (tmp_path / "state.pt").read_bytes() == before


@pytest.mark.thorough
def test_a_failure_in_one_of_two_processes_is_one_sentence(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setitem(RECIPES, "micro", MICRO)
    work = tmp_path / "work"
    trained(work, tokenizer, 1)
    save_tokenizer(tokenizer, MICRO, work / "tokenizer")
    state = load_state(work)
    state["model"]["lm_head.weight"].fill_(float("nan"))
    torch.save(state, work / "state.pt")
    with pytest.raises(UserError, match=r"no longer finite at step 2.*resume.$"):
        train(
            "micro",
            tmp_path / "out",
            work=work,
            ranks=2,
            device="cpu",
            compiled=False,
            score_items=0,
        )


def test_a_checkpoint_of_other_sizes_is_refused(tmp_path, tokenizer):
    trained(tmp_path, tokenizer, 1)
    with pytest.raises(UserError, match="other sizes"):
        Trainer(replace(MICRO, shape=replace(MICRO.shape, ffn=32)), tokenizer, tmp_path)


def test_changed_training_data_is_refused(tmp_path, tokenizer, monkeypatch):
    trained(tmp_path, tokenizer, 1)
    monkeypatch.setattr(
        batches, "drill", lambda rng: Example("drill", "Compute 1+1.\n", "1+1=2\n", {})
    )
    with pytest.raises(UserError, match=r"training data has changed.*resume off"):
        Trainer(MICRO, tokenizer, tmp_path)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, tokenizer):
    trained(tmp_path, tokenizer, 1)
    before, trainer = (tmp_path / "state.pt").read_bytes(), Trainer(MICRO, tokenizer, tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"state.pt cannot be written.*what was there stays"):
            trainer._save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "state.pt").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"state.pt", "log.jsonl"}


def test_a_cut_off_checkpoint_is_refused_in_one_sentence(tmp_path, tokenizer):
    (tmp_path / "state.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError, match="cannot be read"):
        Trainer(MICRO, tokenizer, tmp_path)


def test_tokenizer_keeps_any_text_and_splits_digits(tokenizer):
    for text in (
        "In 2 days 9*2=18.\n#### 13\n",
        "    def f(x):\n        return x[::-1] // 7\n",
        "naïve — 数字 ☕\t\n\n",
    ):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.tokenize("345") == ["3", "4", "5"]
    assert (
        tokenizer.encode("<|endoftext|><|MASK|>")
        == [tokenizer.eos_token_id, tokenizer.mask_token_id]
        == [0, 1]
    )


def test_batches_hold_whole_rows_that_end_with_end_of_text(tokenizer):
    for batch in Batches(tokenizer, ["mini-gsm"], 1, 2000, 256).chunk(0, 0.2)[:5]:
        assert batch.ids.shape[1] % 32 == 0
        for line, prompt, length in zip(batch.ids, batch.prompts, batch.lengths, strict=True):
            assert 0 < prompt < length
            assert (line[length - 1 :] == 0).all() and (line[: length - 1] != 0).all()


def test_train_writes_a_folder_that_stock_qwen3_loads_completely(tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "micro", MICRO)
    out = train(
        "micro",
        tmp_path / "out",
        work=tmp_path / "work",
        ranks=1,
        device="cpu",
        compiled=False,
        score_items=0,
    )
    raw = json.loads((out / "config.json").read_text())
    assert raw["model_type"] == "sdar" and raw["block_size"] == 32 and raw["mask_token_id"] == 1
    known = {
        key: value
        for key, value in raw.items()
        if key not in ("model_type", "architectures", "dtype")
    }
    model, report = Qwen3ForCausalLM.from_pretrained(
        out, config=Qwen3Config(**known), output_loading_info=True, dtype=torch.float32
    )
    assert (
        not report["missing_keys"]
        and not report["unexpected_keys"]
        and not report["mismatched_keys"]
    )
    stored = load_state(tmp_path / "work")["model"]["lm_head.weight"]
    torch.testing.assert_close(model.lm_head.weight.data, stored.bfloat16().float())
    assert PreTrainedTokenizerFast.from_pretrained(out).mask_token_id == 1
    assert read_log(tmp_path / "work")


@pytest.mark.thorough
def test_card_shows_what_was_measured(tmp_path, tokenizer):
    recipe = replace(MICRO, tasks=("mini-gsm",))
    work = tmp_path / "work"
    trained(work, tokenizer, 8, recipe)
    save_tokenizer(tokenizer, recipe, work / "tokenizer")
    out = export(recipe, "micro", work, tmp_path / "out")
    text = write_card(out, limit=2).read_text()
    record = json.loads((out / "training.json").read_text())
    for figure in re.findall(r"!\[.*\]\((.*)\)", text):
        assert (out / figure).read_text().startswith("<?xml")
    assert len(record["calibration"]["confidence"]) == len(record["calibration"]["correct"]) >= 2
    assert text == card(record)
    assert [score["n"] for score in record["scores"]] == [2, 2, 2]
    for entry in (*record["log"], *record["scores"]):
        shown = f"{entry['loss']:.3f}" if "loss" in entry else f"{entry['tpf']:.2f}"
        assert shown in text


@pytest.mark.thorough
@pytest.mark.parametrize(("family", "ffn"), [("llada", 24), ("Dream", 24), ("sdar", 16)])
def test_a_model_that_starts_from_another_one_loads_with_stock_classes(
    tmp_path, monkeypatch, family, ffn
):
    """Weights are taken over without the norms that the new family lacks, or as many as a smaller
    one has room for.
    """
    monkeypatch.setattr(paths, "MODELS", tmp_path)
    monkeypatch.setattr(hub, "MODELS", tmp_path)
    diffusion = replace(MICRO.stages[1], full_attention=1.0)
    first = replace(MICRO, stages=(replace(MICRO.stages[0], steps=30),))
    monkeypatch.setitem(RECIPES, "first", first)
    shape = replace(MICRO.shape, ffn=ffn)
    monkeypatch.setitem(
        RECIPES,
        "second",
        replace(MICRO, family=family, shape=shape, start="first", tail=1, stages=(diffusion,)),
    )
    for name in ("first", "second"):
        out = train(name, ranks=1, device="cpu", compiled=False, score_items=0)
    raw = json.loads((out / "config.json").read_text())
    assert (raw["model_type"], raw["intermediate_size"]) == (family, ffn)
    stock = getattr(transformers, family_of(raw).architecture)
    _, report = stock.from_pretrained(out, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert (out / "tokenizer.json").read_bytes() == (
        tmp_path / "first" / "tokenizer.json"
    ).read_bytes()
    assert psd_lib.generate(psd_lib.load(out), "Compute 1+2.\n", "greedy", gen_length=8).text


def test_unknown_model_bad_budget_and_device_are_refused(tmp_path):
    with pytest.raises(UserError, match="mini-sdar"):
        find_recipe("huge")
    with pytest.raises(UserError, match="positive"):
        budgeted(MICRO, 0)
    with pytest.raises(UserError, match="cpu or cuda"):
        find_device("tpu")
