"""Tokenizers with concrete classes, special ids by number, chat templates: all without code from a
checkpoint.
"""

import json
from dataclasses import replace

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer

import psd_lib
from psd_lib.errors import UserError
from psd_lib.models import FAMILIES
from psd_lib.models.tokenizers import ids, tokenizer
from psd_lib.testing import save_checkpoint, tiny_model, tiny_tokenizer

AWKWARD = [
    "a  b",
    " lead",
    "tail ",
    "x\n\ny",
    "Größe",
    "数学",
    "e\u0301",
    "🙂🙂",
    "<|mask|> <|im_end|>",
    "1234",
    "it's",
    "\t",
]


@pytest.fixture
def qwen_files(tmp_path):
    """A folder as Dream ships it: vocab.json, merges.txt, a class name that transformers does not
    have, no tokenizer.json.
    """
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator(
        ["a lead b tail it's a tail Größe 数学"] * 3,
        trainers.BpeTrainer(
            vocab_size=300,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    trained.model.save(str(tmp_path))
    size = trained.get_vocab_size()
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|beginoftext|>", "<|mask|>"]
    added = {str(size + i): {"content": name, "special": True} for i, name in enumerate(names)}
    added = {
        key: value | {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
        for key, value in added.items()
    }
    config = {
        "tokenizer_class": "DreamTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_dream.DreamTokenizer", None]},
        "added_tokens_decoder": added,
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "mask_token": "<|mask|>",
        "bos_token": "<|beginoftext|>",
        "errors": "replace",
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "tokenization_dream.py").write_text(
        "raise SystemExit('code of a checkpoint was run')"
    )
    return tmp_path, size


def test_dreams_files_load_as_qwen2s_tokenizer(qwen_files):
    folder, size = qwen_files
    loaded = tokenizer(folder, FAMILIES["Dream"])
    assert isinstance(loaded, Qwen2Tokenizer)
    assert (loaded.eos_token_id, loaded.mask_token_id, loaded.bos_token_id) == (
        size,
        size + 4,
        size + 3,
    )
    assert loaded("<|mask|><|im_end|>", add_special_tokens=False)["input_ids"] == [
        size + 4,
        size + 2,
    ]
    assert len(loaded) == size + 5
    merged = loaded("a tail", add_special_tokens=False)["input_ids"]
    assert len(merged) == 2  # words that the merges know are one token each


@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_awkward_text_survives_the_qwen2_tokenizer(qwen_files, text):
    loaded = tokenizer(qwen_files[0], FAMILIES["Dream"])
    encoded = loaded(text, add_special_tokens=False)["input_ids"]
    composed = text.replace("e\u0301", "é")  # Qwen2 normalises to NFC
    assert loaded.decode(encoded, clean_up_tokenization_spaces=False) == composed


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("llada", "has no tokenizer.json; download"),
        ("Dream", r"has no tokenizer.json \(or vocab.json and merges.txt\)"),
        (
            "PanguEmbedded",
            (
                "openPangu ships a SentencePiece model that only its own code reads, which is never"
                " run here"
            ),
        ),
    ],
)
def test_absent_tokenizer_files_are_named(tmp_path, family, words):
    with pytest.raises(UserError, match=words):
        tokenizer(tmp_path, FAMILIES[family])


def test_damaged_tokenizer_files_are_one_sentence(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="the tokenizer files cannot be read") as caught:
        tokenizer(tmp_path, FAMILIES["llada"])
    assert "\n" not in str(caught.value)


TABLE = {
    "llada": (126464, 126336, (126081, 126348), 126080),
    "Dream": (152064, 151666, (151643, 151645), 151665),
    "sdar": (151936, 151669, (151643, 151645), None),
    "PanguEmbedded": (153376, 45830, (2, 45892), 1),
    "Fast_dLLM_Qwen": (152064, 151665, (151645,), None),
    "llada2_moe": (157184, 156895, (156892,), None),
}


@pytest.mark.parametrize("family", TABLE)
def test_a_config_without_ids_gets_those_of_the_released_vocabulary(tmp_path, family):
    """The tokenizer's own mask token, id 1, is ignored: SDAR's files disagree on its string."""
    rows, mask, stop, begin = TABLE[family]
    found = ids(tmp_path, {}, FAMILIES[family], tiny_tokenizer(), rows)
    assert (found.mask, found.stop, found.begin) == (mask, stop, begin)


def test_config_ids_come_first_and_stop_ids_are_joined(tmp_path):
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [151645, 7]}))
    found = ids(
        tmp_path,
        {"mask_token_id": 9, "eos_token_id": 151643},
        FAMILIES["sdar"],
        tiny_tokenizer(),
        151936,
    )
    assert (found.mask, found.stop) == (9, (151643, 151645, 7))


def test_padding_is_never_the_mask(tmp_path):
    for raw, pad in (({}, 151643), ({"pad_token_id": 7}, 7), ({"pad_token_id": 151669}, 151643)):
        assert ids(tmp_path, raw, FAMILIES["sdar"], tiny_tokenizer(), 151936).pad == pad


def test_the_table_says_nothing_about_another_vocabulary(tmp_path):
    found = ids(tmp_path, {}, FAMILIES["llada"], tiny_tokenizer(), 32)
    assert (found.mask, found.stop, found.begin) == (1, (0,), None)


def test_the_tables_ids_differ_and_are_rows():
    for family in FAMILIES.values():
        if family.special:
            known = family.special
            assert known.mask not in (*known.stop, known.pad, known.begin)
            assert max(known.mask, *known.stop) < min(known.rows)


REFUSED = {
    "no mask": ({"eos_token_id": 0}, 30, None, "names a mask token; set mask_token_id"),
    "no stop": ({"mask_token_id": 1}, 30, None, "names an end-of-sequence token; set eos_token_id"),
    "mask outside": (
        {"mask_token_id": 32},
        30,
        0,
        "mask_token_id 32 has no row in the embedding, which has 32 rows",
    ),
    "mask stops": (
        {"mask_token_id": 1, "eos_token_id": 1},
        30,
        0,
        "token 1 is both mask and end of sequence",
    ),
    "long": ({}, 40, 0, "the tokenizer has token ids up to 39, but the embedding has only 32 rows"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_impossible_special_tokens_are_refused(tmp_path, case):
    raw, size, keep, words = REFUSED[case]
    plain = tiny_tokenizer(size)
    if keep is None:
        plain.mask_token = plain.eos_token = None
    with pytest.raises(UserError, match=words):
        ids(tmp_path, raw, FAMILIES["sdar"], plain, 32)


def test_a_checkpoint_whose_tokenizer_has_no_mask_token_is_refused(tmp_path):
    folder = save_checkpoint(tiny_model(0), tmp_path / "tiny")
    for name, field in (("config.json", "mask_token_id"), ("tokenizer_config.json", "mask_token")):
        raw = json.loads((folder / name).read_text())
        raw.pop(field)
        (folder / name).write_text(json.dumps(raw))
    with pytest.raises(
        UserError, match=r"neither config.json nor the tokenizer names a mask token"
    ):
        psd_lib.load(folder)


def test_any_stop_id_ends_a_text(tmp_path):
    folder = save_checkpoint(tiny_model(0), tmp_path / "tiny")
    plain = psd_lib.generate(psd_lib.load(folder), "w3 w4", gen_length=16)[0]
    (folder / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [0, plain.tokens[3]]})
    )
    stopped = psd_lib.generate(psd_lib.load(folder), "w3 w4", gen_length=16)[0]
    assert stopped.tokens == plain.tokens[: plain.tokens.index(plain.tokens[3])]
    assert stopped.stopped == "eos"


TURNS = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "2+2"},
]
PROMPTS = {
    "llada": (
        "<|startoftext|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        "Yes?<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n2+2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "sdar": (
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes?<|im_end|>\n<|im_start|>user\n2+2<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "PanguEmbedded": (
        "[unused9]系统：[unused10][unused9]用户：Hi[unused10][unused9]助手：Yes?[unused10][unused9]用户：2+2[unused10][unused9]助手："
    ),
}


@pytest.mark.parametrize("family", PROMPTS)
def test_chat_templates(family):
    assert tiny_model(family=family).chat(TURNS) == PROMPTS[family]


def test_thinking_can_be_switched_off():
    assert (
        tiny_model().chat(TURNS, enable_thinking=False)
        == PROMPTS["sdar"] + "<think>\n\n</think>\n\n"
    )


def test_the_checkpoints_own_template_wins(tmp_path):
    folder = save_checkpoint(tiny_model(0), tmp_path / "tiny")
    (folder / "chat_template.jinja").write_text("{{ messages[-1].content }}!")
    assert psd_lib.load(folder).chat(TURNS) == "2+2!"


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "no messages"),
        (["hi"], "a message must be"),
        ([{"role": "bot", "content": "x"}], "a message must be"),
    ],
)
def test_malformed_conversations_are_refused(messages, words):
    with pytest.raises(UserError, match=words):
        tiny_model().chat(messages)


def test_a_family_without_a_template_says_so():
    with pytest.raises(
        UserError, match="neither the checkpoint nor its family has a chat template"
    ):
        tiny_model(family="llada2_moe").chat(TURNS)


def test_a_shipped_checkpoint_without_a_template_gets_its_familys(tmp_path):
    folder = save_checkpoint(tiny_model(0, family="llada"), tmp_path / "tiny")
    (folder / "chat_template.jinja").unlink()
    loaded = psd_lib.load(folder)
    assert loaded.chat(TURNS) == PROMPTS["llada"]
    assert (
        loaded.tokenizer.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True)
        == PROMPTS["llada"]
    )


def test_openpangus_prompts_start_with_its_beginning_and_others_do_not():
    pangu, sdar = (
        replace(tiny_model(family="PanguEmbedded"), begin_id=5),
        replace(tiny_model(), begin_id=5),
    )
    assert (pangu.encode("w3 w4"), pangu.encode("w5 w4"), pangu.encode("")) == (
        [5, 3, 4],
        [5, 4],
        [],
    )
    assert sdar.encode("w3 w4") == [3, 4]
    assert psd_lib.generate(pangu, "w3 w4", gen_length=8)[0].prompt_text == "w5 w3 w4"
