"""Benchmarks under profiles: where rows come from, prompts, chat form, hashes, and what bad input
is told.
"""

import dataclasses
import gzip
import json
import warnings

import pytest
from support.benchmark_data import FOLDER, needs_data, write

from psd_lab import tasks
from psd_lab.tasks.benchmarks import SPECS, exemplars
from psd_lab.tasks.benchmarks import protocol as protocols
from psd_lib.errors import UserError

NAMES = ["gsm8k", "humaneval", "mbpp", "mbpp-sanitized", "math500"]
SIZES = {"gsm8k": 1319, "humaneval": 164, "mbpp": 500, "mbpp-sanitized": 257}
PAIRS = [(name, profile) for name in NAMES for profile in tasks.profiles(name)]


class Tokenizer:
    bos_token = "<s>"
    chat_template = None
    name_or_path = ""

    def apply_chat_template(self, messages, tokenize, add_generation_prompt):
        assert not tokenize and add_generation_prompt
        return (
            "".join(f"<{message['role']}>{message['content']}" for message in messages)
            + "<assistant>"
        )


def model(name="LLaDA-1.5", model_type="llada", chat_template=None, bos_token="<s>", repo=""):
    """What `prompts` reads of a model: its name, family and tokenizer, from the Hub's cache where
    there is a `repo`.
    """
    tokenizer = Tokenizer()
    tokenizer.chat_template, tokenizer.bos_token = chat_template, bos_token
    if repo:
        tokenizer.name_or_path = f"/hub/models--{repo.replace('/', '--')}/snapshots/0a1b"
    family = type("F", (), {"model_type": model_type, "name": model_type})
    return type("M", (), {"name": name, "family": family, "tokenizer": tokenizer})


def test_names_follow_the_embedded_ones():
    assert tasks.benchmark_names() == NAMES and tasks.names()[-len(NAMES) :] == NAMES
    assert all(tasks.describe(name) for name in tasks.names())


@pytest.mark.parametrize(("name", "profile"), PAIRS)
def test_every_value_of_every_profile_has_a_source(name, profile):
    found = protocols.find(profile, name)
    assert set(found.sources) == set(protocols.SETTINGS) and all(found.sources.values())
    assert set(found.inferred) <= set(protocols.SETTINGS)
    assert found.template in protocols.parts("templates")
    assert found.exemplars is None or found.exemplars in protocols.parts("exemplars")
    assert found.length % (found.block_length or 4) == 0
    assert tasks.get(name, profile).version.startswith(found.headline)


def test_the_papers_profile_says_what_the_paper_says():
    for name in ("gsm8k", "humaneval", "mbpp"):
        found = tasks.get(name, "psd-512").protocol
        assert (found.block, found.length, found.chat, found.early_stop, found.counted) == (
            32,
            512,
            "never",
            True,
            "before_eos",
        )
        assert (
            not {"block", "length", "early_stop", "counted"} & set(found.inferred)
            and "template" in found.inferred
        )
        assert tasks.get(name).profile == "psd-512" and tasks.get(name).gen_length == 512
    assert tasks.get("math500").profile == tasks.get("mbpp-sanitized").profile == "sdar-native"


def test_a_variant_changes_only_what_it_names():
    plain, cot = protocols.find("psd-512", "gsm8k"), protocols.find("psd-512:cot", "gsm8k")
    changed = {key for key in protocols.SETTINGS if getattr(plain, key) != getattr(cot, key)}
    assert changed == {"template", "exemplars"}
    assert protocols.find("llada-native:instruct", "gsm8k").block_length == 512
    assert protocols.find("sdar-native", "gsm8k").block_length is None


@needs_data
@pytest.mark.parametrize("name", list(SIZES))
def test_published_rows_are_complete_and_known(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        examples = tasks.get(name, data_dir=FOLDER).load("test")
    assert len(examples) == len({example.id for example in examples}) == SIZES[name]
    assert tasks.get(name, data_dir=FOLDER).load("test", 7) == examples[:7]


@needs_data
@pytest.mark.parametrize(("name", "profile"), [pair for pair in PAIRS if pair[0] != "math500"])
def test_frozen_exemplars_stand_before_every_prompt_and_are_no_items(name, profile):
    task = tasks.get(name, profile, FOLDER)
    found = exemplars.exemplars(task.protocol.exemplars, task._fields)
    before = "".join(exemplars.shots(task.protocol.template, found))
    assert len(found) == int((task.protocol.exemplars or "-0").rsplit("-", 1)[1])
    assert all(example.prompt.startswith(before) for example in task.load("test", 5))
    if "train" in SPECS[name].files.files and (task.protocol.exemplars or "").startswith("gsm8k-5"):
        assert len(task.load("train")) == 7473 - 5


@needs_data
def test_changed_exemplars_are_refused(tmp_path):
    with gzip.open(f"{FOLDER}/gsm8k/train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rows[61]["question"] += " Why?"
    write(tmp_path / "train.jsonl", rows)
    write(tmp_path / "test.jsonl.gz", rows[:2])
    with (
        pytest.warns(UserWarning, match="gsm8k train has 7473 rows .* not the published"),
        pytest.raises(UserError, match="exemplars gsm8k-5 have the sha256"),
    ):
        tasks.get("gsm8k", "psd-512", tmp_path).load("test")


@needs_data
def test_hash_depends_on_prompts_and_not_on_judging():
    hashes = {
        profile: tasks.get("gsm8k", profile, FOLDER).data_hash()
        for profile in ("psd-512", "psd-512:cot", "fastdllm-256", "dream-native")
    }
    assert len(set(hashes.values())) == 4, (
        "psd-512 and fastdllm-256 differ in their use of chat templates"
    )
    task = tasks.get("humaneval", "psd-512", FOLDER)
    other = dataclasses.replace(
        task, protocol=dataclasses.replace(task.protocol, headline="prompt-as-is-1")
    )
    assert other.data_hash() == task.data_hash() and other.version != task.version


@needs_data
def test_prompts_of_base_models_begin_with_bos_only_where_the_family_has_it():
    task = tasks.get("humaneval", "psd-512", FOLDER)
    examples = task.load("test", 2)
    plain = [example.prompt for example in examples]
    assert task.prompts(examples, model()) == plain
    assert task.prompts(examples, model("Dream", "Dream")) == ["<s>" + prompt for prompt in plain]
    with pytest.raises(UserError, match="BOS token, which the tokenizer of Dream does not name"):
        task.prompts(examples, model("Dream", "Dream", bos_token=None))


@needs_data
def test_chat_follows_the_profile_and_the_released_repository():
    task = tasks.get("gsm8k", "fastdllm-256", FOLDER)
    examples = task.load("test", 1)
    base = model(chat_template="x", repo="GSAI-ML/LLaDA-1.5")
    assert task.prompts(examples, base) == [examples[0].prompt]
    renamed = model("mine", chat_template="x", repo="GSAI-ML/LLaDA-8B-Instruct")
    assert task.prompts(examples, renamed) == [f"<user>{examples[0].prompt}<assistant>"]
    with pytest.raises(UserError, match="fastdllm-256 needs a chat template"):
        task.prompts(examples, model(repo="GSAI-ML/LLaDA-8B-Instruct"))


@needs_data
def test_a_folder_that_does_not_say_what_it_is_goes_by_its_own_chat_template_with_a_warning():
    task = tasks.get("gsm8k", "fastdllm-256", FOLDER)
    examples = task.load("test", 1)
    for name in ("LLaDA-8B-Instruct", "mine"):
        with pytest.warns(UserWarning, match="fastdllm-256 takes it for a base model"):
            assert task.prompts(examples, model(name)) == [examples[0].prompt]
        with pytest.warns(UserWarning, match="fastdllm-256 takes it for an instruct model"):
            (prompt,) = task.prompts(examples, model(name, chat_template="x"))
        assert prompt == f"<user>{examples[0].prompt}<assistant>"


@needs_data
def test_a_chat_can_have_turns_and_a_beginning_of_the_answer():
    turns = tasks.get("gsm8k", "llada-native", FOLDER).load("test", 1)[0].meta["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 4 + ["user"]
    prefill = tasks.get("mbpp", "dream-native:instruct", FOLDER)
    assert prefill.prompts(prefill.load("test", 1), model(chat_template="x"))[0].endswith(
        "<assistant>\n```python\n"
    )


def test_completions_end_at_the_first_stop_string_of_the_template():
    assert (
        exemplars.cut("a[DONE]b", ("[DONE]",)) == "a"
        and exemplars.cut("aQ:b</s>", ("</s>", "Q:")) == "a"
    )
    assert exemplars.cut("a\ndef", ()) == "a\ndef" and exemplars.cut("", ("x",)) == ""
    assert exemplars.stops(protocols.find("psd-512", "humaneval")) == ()
    assert exemplars.stops(protocols.find("psd-512", "mbpp")) == ("[DONE]",)
    assert exemplars.fill("{code} {1} {}", {"code": "f'{x}' {code}"}) == "f'{x}' {code} {1} {}"
