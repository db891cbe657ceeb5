"""The answer's text is what decoding prompt and answer adds to decoding the prompt."""

from dataclasses import replace

import pytest
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

import psd_lib
from psd_lib.testing import save_checkpoint, tiny_model


def llama_style(words):
    """A tokenizer whose decoder drops the first space of whatever it decodes."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="x"))
    made.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", mask_token="<mask>")


WORDS = ["</s>", "<mask>", "▁a", "▁", "b", "<0xC3>", "<0xA9>", "x"]


@pytest.fixture
def model():
    made = tiny_model(0)
    made.denoiser.vocab_size = len(WORDS)
    return replace(made, tokenizer=llama_style(WORDS))


def test_spaces_at_the_beginning_of_an_answer_stay(model):
    assert model.tokenizer.decode([3, 3, 3, 2]) == "    a"[1:]
    assert model.decode([2, 4], [3, 3, 3, 2]) == "    a"
    assert model.decode([2], [4]) == "b"
    assert model.decode([2], []) == ""


def test_a_character_that_begins_in_the_prompt_belongs_to_the_answer(model):
    assert model.decode([2, 5], [6, 4]) == "éb"


def test_text_and_trace_keep_every_space(model):
    head = model.denoiser.network.lm_head.weight.data
    head[3] = -head[2]  # so that one of the two tokens with a space is always the likeliest
    head[0], head[4:] = 0, 0
    out = psd_lib.generate(model, [[2, 4]], gen_length=16)[0]
    whole = model.tokenizer.decode([2, 4, *out.tokens])
    assert out.prompt_text + out.text == whole and len(out.text) > len(out.tokens) / 2
    assert {WORDS[token] for token in out.tokens} == {"▁a", "▁"}
    assert out.trace.text_tokens == [WORDS[token].replace("▁", " ") for token in out.tokens]


def test_ids_that_the_tokenizer_leaves_out_still_count(tmp_path):
    """The end of the sequence is id 31 of 28 entries: it can be chosen, and prompts may hold it."""
    folder = save_checkpoint(tiny_model(0, words=28), tmp_path / "tiny")
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    (folder / "tokenizer.json").write_text(text.replace('"w27": 27', '"w27": 31'), "utf-8")
    config = (folder / "config.json").read_text(encoding="utf-8")
    config = config.replace('"eos_token_id": 0', '"eos_token_id": 31')
    (folder / "config.json").write_text(config, encoding="utf-8")
    model = psd_lib.load(folder)
    assert len(model.tokenizer) == 28 and model.denoiser.vocab_size == 32
    assert psd_lib.generate(model, [[3, 31, 4]], gen_length=8)[0].prompt_text == "w3 w27 w4"
    head = model.denoiser.network.lm_head.weight.data
    head[31] = 100 * head[5]
    stops = [psd_lib.generate(model, [[3, i]], gen_length=8)[0].stopped for i in range(4, 14)]
    assert "eos" in stops
