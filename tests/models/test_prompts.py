"""Prompts: every form that is unambiguous means what it looks like, the rest is one sentence."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import BatchEncoding

import psd_lib
from psd_lib.errors import UserError
from psd_lib.models.prompts import encode
from psd_lib.testing import tiny_model


@pytest.fixture(scope="module")
def model():
    """The tiny model with a template that ends in the assistant's first word."""
    model = tiny_model(0)
    model.tokenizer.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}w9"
    return model


def user(text):
    return {"role": "user", "content": text}


PADDED = {"input_ids": [[0, 3, 4], [5, 6, 7]], "attention_mask": [[0, 1, 1], [1, 1, 1]]}
ONE = {
    "text": "w3 w4",
    "flat ids": [3, 4],
    "numpy ids": [np.int64(3), np.int32(4)],
    "tuple": (3, 4),
    "range": range(3, 5),
    "tensor": torch.tensor([3, 4]),
    "tensor of one row": torch.tensor([[3, 4]]),
    "small tensor": torch.tensor([3, 4], dtype=torch.uint8),
    "array": np.array([3, 4], dtype=np.int16),
    "array of one row": np.array([[3, 4]]),
    "array of text": np.array(["w3 w4"]),
    "generator": (text for text in ["w3 w4"]),
    "list of text": ["w3 w4"],
    "list of ids": [[3, 4]],
    "list of tensors": [torch.tensor([3, 4])],
    "list of one-row tensors": [torch.tensor([[3, 4]])],
    "tokenizer's lists": BatchEncoding({"input_ids": [3, 4], "attention_mask": [1, 1]}),
    "tokenizer's tensors": BatchEncoding(
        {"input_ids": torch.tensor([[3, 4]]), "attention_mask": torch.tensor([[1, 1]])}
    ),
    "list of a tokenizer's": [BatchEncoding({"input_ids": torch.tensor([[3, 4]])})],
}


@pytest.mark.parametrize("form", ONE)
def test_one_prompt_in_every_form(model, form):
    assert encode(model, ONE[form], 8) == [[3, 4]]


SEVERAL = {
    "texts": (["w3", "w4 w5"], [[3], [4, 5]]),
    "ids": ([[3], [4, 5]], [[3], [4, 5]]),
    "both": (["w3", [4, 5]], [[3], [4, 5]]),
    "tensor": (torch.tensor([[3, 4], [5, 6]]), [[3, 4], [5, 6]]),
    "array": (np.array([[3, 4], [5, 6]]), [[3, 4], [5, 6]]),
    "padded": (BatchEncoding(PADDED), [[3, 4], [5, 6, 7]]),
    "padded tensors": (
        BatchEncoding({name: torch.tensor(rows) for name, rows in PADDED.items()}),
        [[3, 4], [5, 6, 7]],
    ),
}


@pytest.mark.parametrize("form", SEVERAL)
def test_several_prompts_in_every_form(model, form):
    prompts, expected = SEVERAL[form]
    assert encode(model, prompts, 8) == expected


def test_what_a_tokenizer_returns_is_decoded_as_the_text_is(model):
    encoded = model.tokenizer("w3 w4 w5", return_tensors="pt", add_special_tokens=False)
    one, other = (
        psd_lib.generate(model, prompt, gen_length=8)[0] for prompt in ("w3 w4 w5", encoded)
    )
    assert (one.tokens, one.prompt_text) == (other.tokens, other.prompt_text)


CHATS = {
    "a message": (user("w3"), [[3, 9]]),
    "a conversation": ([user("w3"), {"role": "assistant", "content": "w4"}], [[3, 4, 9]]),
    "conversations": ([[user("w3")], [user("w4")]], [[3, 9], [4, 9]]),
    "text and conversation": (["w3", [user("w4")]], [[3], [4, 9]]),
}


@pytest.mark.parametrize("form", CHATS)
def test_chat_messages_go_through_the_template(model, form):
    messages, expected = CHATS[form]
    assert encode(model, messages, 8) == expected


REFUSED = {
    "nothing": (None, "the prompts are None; a prompt is text, token ids"),
    "a number": (3, "the prompts are 3; a prompt is text, token ids"),
    "bytes": (b"w3", "the prompts are b'w3'; a prompt is text"),
    "no prompt of several": (["w3", None], "prompt 1 is None; a prompt is text"),
    "bytes of several": ([b"w3"], "prompt 0 is b'w3'; a prompt is text"),
    "truth values": ([True, False], "prompt 0 is True; a prompt is text"),
    "fractions": ([3.0, 4.0], "prompt 0 is 3.0; a prompt is text"),
    "ids beside text": ([3, "w4"], "prompt 0 is 3; a prompt is text"),
    "ids too deep": ([[[3, 4]]], r"prompt 0 is \[\[3, 4\]\]; a prompt is text"),
    "fractional tensor": (torch.tensor([3.0]), "an array of torch.float32 with shape"),
    "truth tensor": (torch.tensor([True]), "an array of torch.bool with shape"),
    "a number's tensor": (
        torch.tensor(3),
        r"shape \[\]; token ids are whole numbers in one or two",
    ),
    "cube": (np.zeros((1, 1, 1), int), r"shape \[1, 1, 1\]"),
    "fractional array": ([np.array([0.5])], "prompt 0 is an array of float64"),
    "other mapping": ({"text": "w3"}, "the prompts are a mapping with 'text'; a prompt is text"),
    "other mask": (
        {"input_ids": [[3, 4]], "attention_mask": [[1]]},
        "input_ids and attention_mask must have the same shape",
    ),
    "text as ids": ({"input_ids": "w3"}, "input_ids must be token ids, one row per prompt"),
    "several in one": ([{"input_ids": [[3], [4]]}], "prompt 0 has 2 rows of token ids"),
    "content parts": ([user([{"type": "text", "text": "w3"}])], "a message must be"),
    "unknown role": ([{"role": "bot", "content": "w3"}], "a message must be"),
    "surrogates": ("w3 \ud800", "not valid Unicode text"),
    "negative": ([-1], r"prompt 0 has token ids outside 0\.\.29"),
    "huge": ([10**30], r"prompt 0 has token ids outside 0\.\.29"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_a_prompt_is_refused_in_one_sentence(model, case):
    prompts, words = REFUSED[case]
    with pytest.raises(UserError, match=words) as caught:
        psd_lib.generate(model, prompts, gen_length=8)
    assert "\n" not in str(caught.value)


def test_a_template_that_refuses_is_one_sentence():
    model = tiny_model(0)
    model.tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(UserError, match="the chat template refuses these messages: roles must alt"):
        psd_lib.generate(model, [user("w3")])
    with pytest.raises(UserError, match="tokenize cannot be set"):
        model.chat([user("w3")], tokenize=True)
    with pytest.raises(UserError, match="messages must be a list of them, got 'w3'"):
        model.chat("w3")


def test_bos_is_written_once_whoever_writes_it():
    """By the caller, by the template, or by both."""
    model = tiny_model(0)
    model.tokenizer.bos_token = "w5"
    model.tokenizer.chat_template = "w5 {{ messages[0].content }}"
    assert model.encode("w3 w4", bos=True) == [5, 3, 4]
    assert model.encode(model.chat([user("w3 w4")]), bos=True) == [5, 3, 4]
    assert model.encode(model.chat([user("w3 w4")])) == [5, 3, 4]
    model.tokenizer.bos_token = None
    with pytest.raises(UserError, match="the tokenizer of tiny-0 has no BOS token"):
        model.encode("w3", bos=True)


def test_a_family_that_begins_every_prompt_begins_chat_prompts_once():
    model = replace(tiny_model(0, family="PanguEmbedded"), begin_id=5)
    model.tokenizer.bos_token = "w5"
    model.tokenizer.chat_template = "w5 {{ messages[0].content }}"
    assert encode(model, [user("w3")], 8) == encode(model, "w3", 8) == [[5, 3]]
    assert model.encode("w3", bos=True) == [5, 3]


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (["a"], "index must have whole numbers of at least 0, got"),
        ("7", "index must have whole numbers of at least 0, got '7'"),
        ([-1], "index must have whole numbers"),
        ([True], "index must have whole numbers"),
        (0.5, "index must have whole numbers of at least 0, got 0.5"),
        ([0, 1], "one number per prompt, got 2 for 1 prompts"),
    ],
)
def test_an_impossible_index_is_refused(model, index, words):
    with pytest.raises(UserError, match=words):
        psd_lib.generate(model, "w3", index=index, gen_length=8)


def test_an_index_may_be_an_array(model):
    options = {"temperature": 1.0, "gen_length": 8}
    one, other = (psd_lib.generate(model, "w3", index=i, **options) for i in ([3], np.array([3])))
    assert one.text == other.text
