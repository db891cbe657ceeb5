"""Profiles as data: what a file may say, and the sentence where it says something else."""

import pytest

from psd_lab import paths, yaml_reader
from psd_lab.tasks.benchmarks import instruct
from psd_lab.tasks.benchmarks import protocol as protocols
from psd_lib.errors import UserError
from psd_lib.models.chat import TEMPLATES

VALUES = {
    "template": "gsm8k",
    "exemplars": None,
    "chat": "never",
    "turns": False,
    "bos": [],
    "length": 64,
    "block": 32,
    "tokens_per_step": 1,
    "temperature": 0.0,
    "top_p": None,
    "threshold": 0.9,
    "early_stop": True,
    "counted": "before_eos",
    "eos_switches": False,
    "stops": "none",
    "headline": "flexible",
    "timeout": 10,
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a profile `p` that runs gsm8k with `VALUES` but for `changes`."""
    monkeypatch.setattr(paths, "DATA", tmp_path)
    (tmp_path / "profiles").mkdir()

    def written(changes, **more):
        values = {key: {"is": value, "from": "s"} for key, value in VALUES.items()} | changes
        values = {key: value for key, value in values.items() if value is not None}
        profile = {"summary": "x", "sources": {"s": "somewhere"}, "common": values}
        text = yaml_reader.dump({**profile, "tasks": {"gsm8k": {}}, **more})
        (tmp_path / "profiles" / "p.yaml").write_text(text, encoding="utf-8")

    return written


def test_a_profile_gives_every_value_with_its_source(write):
    write({"length": {"is": 96, "from": "s", "inferred": True}})
    found = protocols.find("p", "gsm8k")
    assert (found.length, found.block_length, found.bos) == (96, 32, ())
    assert found.inferred == ("length",)
    assert set(found.sources) == set(protocols.SETTINGS)
    assert set(found.sources.values()) == {"somewhere"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"block": {"is": 1}}, "{is: <value>, from: <one of sources>"),
        ({"block": {"is": 1}}, "but block has no 'from'"),
        ({"block": {"is": 1, "from": "s", "infered": True}}, "but infered of block is True"),
        ({"block": {"is": 1, "from": "nobody"}}, "not one of its sources: s"),
        ({"block": {"is": "half", "from": "s"}}, "a whole number of at least 1, whole or native"),
        ({"block": {"is": 0, "from": "s"}}, "a whole number of at least 1, whole or native"),
        ({"length": {"is": 1.5, "from": "s"}}, "length of profile 'p' must be a whole number"),
        ({"chat": {"is": "ever", "from": "s"}}, "must be one of never, always, if_instruct, not"),
        ({"turns": {"is": 1, "from": "s"}}, "turns of profile 'p' must be true or false, not 1"),
        ({"threshold": {"is": 2.0, "from": "s"}}, "must be a number between 0 and 1, or null"),
        ({"timeout": {"is": 0, "from": "s"}}, "must be a number of seconds above 0, not 0"),
        ({"blok": {"is": 1, "from": "s"}}, "Profile 'p' has unknown key 'blok': it takes template"),
        ({"block": None}, "profile 'p' has no key 'block'"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(write, changes, sentence):
    write(changes)
    with pytest.raises(UserError) as error:
        protocols.find("p", "gsm8k")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_part_of_a_profile_is_refused(write):
    write({}, variant={"x": {}})
    with pytest.raises(UserError, match=r"Profile 'p' has unknown key 'variant': it takes summary"):
        protocols.profiles()
    write({}, variants={"x": {"summary": "y", "comon": {}}})
    protocols._read.cache_clear()
    with pytest.raises(UserError, match=r"variants of profile 'p' must be .* but comon of x is"):
        protocols.profiles()


def test_a_repository_is_read_from_the_hubs_cache_and_from_no_other_path():
    cache = "/home/me/.cache/huggingface/hub/models--Dream-org--Dream-v0-Instruct-7B/snapshots/05"
    assert instruct.repository_of(cache) == "Dream-org/Dream-v0-Instruct-7B"
    assert instruct.repository_of("/models/Dream-v0-Instruct-7B") is None


def test_a_template_that_the_family_lends_is_not_the_checkpoints_own():
    class Some:
        name = "some"
        tokenizer = type("T", (), {"chat_template": TEMPLATES["llada"], "name_or_path": "/x"})
        family = type("F", (), {"name": "llada"})

    assert not instruct.has_own_template(Some)
    Some.tokenizer.chat_template += "!"
    assert instruct.has_own_template(Some)
