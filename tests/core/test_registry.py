"""A user's own plug, by name: in configs, rows and labels, and what `register` refuses."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

import psd_lib
from psd_lib.decoding import PRESETS, ByConfidence, DecodeConfig, notes_of, register, registry
from psd_lib.decoding.policies import POLICIES
from psd_lib.errors import UserError
from psd_lib.testing import tiny_model


@pytest.fixture(autouse=True)
def forget():
    """Registrations of a test end with it."""
    before = {id(known): dict(known) for known in (PRESETS, POLICIES)}
    own = set(registry._OWN)
    yield
    for known in (PRESETS, POLICIES):
        known.clear()
        known.update(before[id(known)])
    registry._OWN.intersection_update(own)


def every_second():
    @dataclass(frozen=True)
    class EverySecond(ByConfidence):
        stride: int = 2
        name: ClassVar[str] = "every_second"

        def select(self, scores, masked):
            return masked & (masked.cumsum(-1) % self.stride == 1 % self.stride)

    return EverySecond


def test_a_policy_of_the_users_own_is_a_name_everywhere():
    register(every_second())
    config = DecodeConfig.make("psd", policy="every_second", stride=3, depth=2)
    assert config.label == "psd(every_second 3, d=2)" and config.exact
    assert config.to_dict()["policy"] == {"name": "every_second", "stride": 3}
    alone = DecodeConfig.make("every_second", stride=4)
    assert alone.label == "every_second 4" and alone.to_dict()["decoder"] == "every_second"
    assert notes_of(alone.to_dict()) == ("exact rule", [])


def test_it_decodes_and_drafts_replay_it():
    register(every_second())
    model = tiny_model(0)
    bare, drafted = (
        psd_lib.generate(model, ["w3 w4"], policy="every_second", depth=depth, gen_length=16)
        for depth in (0, 3)
    )
    assert bare[0].tokens == drafted[0].tokens and drafted[0].nfe <= bare[0].nfe
    assert (
        psd_lib.generate(model, ["w3 w4"], "every_second", gen_length=16)[0].tokens
        == bare[0].tokens
    )


def test_running_a_notebook_cell_again_replaces_the_users_own_and_nobody_elses():
    register(every_second())
    assert register(every_second()) is POLICIES["every_second"]
    taken = every_second()
    taken.name = "confidence"
    with pytest.raises(UserError, match="the policy name 'confidence' is taken"):
        register(taken)


def test_a_reconstructed_plug_says_so_in_configs_and_from_stored_data():
    mine = every_second()
    mine.fidelity, mine.note = "reconstructed", "Every second: guessed."
    register(mine)
    config = DecodeConfig.make("every_second")
    assert config.fidelity == "reconstructed" and config.notes == ["Every second: guessed."]
    assert notes_of(config.to_dict()) == ("reconstructed", ["Every second: guessed."])
    assert DecodeConfig.make("greedy").fidelity == "exact rule"


def broken(select, name="broken", frozen=True):
    return dataclass(frozen=frozen)(
        type("Broken", (ByConfidence,), {"name": name, "select": select})
    )


@pytest.mark.parametrize(
    ("plug", "words"),
    [
        pytest.param(
            lambda: broken(lambda self, scores, masked: masked & False),
            "selected nothing where positions were masked",
            id="idle",
        ),
        pytest.param(
            lambda: broken(lambda self, scores, masked: masked | True),
            "selected positions that are not masked",
            id="greedy",
        ),
        pytest.param(
            lambda: broken(lambda self, scores, masked: masked.int()),
            "must return a bool tensor",
            id="integers",
        ),
        pytest.param(
            lambda: broken(lambda self, scores, masked: masked & (masked.cumsum(1) == 1)),
            "over all leading dimensions",
            id="second axis",
        ),
        pytest.param(
            lambda: broken(lambda self, scores, masked: masked, name=""),
            "needs a name",
            id="nameless",
        ),
        pytest.param(
            lambda: broken(lambda self, scores, masked: masked, frozen=False),
            "must be a frozen dataclass",
            id="thawed",
        ),
        pytest.param(lambda: dict, "is no plug: it needs one of the methods select", id="no plug"),
    ],
)
def test_broken_plugs_are_refused_at_once(plug, words):
    with pytest.raises(UserError, match=words):
        register(plug())
