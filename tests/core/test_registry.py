"""A user's own plug, by name: in configs, rows and labels, and what `register` refuses."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

import psd_lib
from psd_lib import DECODERS, POLICIES, DecodeConfig, Policy, register
from psd_lib.core.cache import NoCache
from psd_lib.core.parts import notes_of
from psd_lib.core.policies import TopK
from psd_lib.core.registry import KINDS
from psd_lib.core.strategy import Needs
from psd_lib.errors import UserError
from psd_lib.methods.ete import Explore
from psd_lib.methods.lopa import BestMean, Lookahead
from psd_lib.methods.prophet import Prophet
from psd_lib.methods.simsd import Rejection
from psd_lib.testing import tiny_model


@pytest.fixture(autouse=True)
def forget():
    """Registrations of a test end with it."""
    registries = [DECODERS, *(registry for _, registry in KINDS.values())]
    before = [dict(known) for known in registries]
    yield
    for known, old in zip(registries, before, strict=True):
        known.clear()
        known.update(old)


def every_second():
    @dataclass(frozen=True)
    class EverySecond(Policy):
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
    mine.reconstructed, mine.note = True, "Every second: guessed."
    register(mine)
    config = DecodeConfig.make("every_second")
    assert config.reconstructed and config.notes == ["Every second: guessed."]
    assert notes_of(config.to_dict()) == ("reconstructed", ["Every second: guessed."])
    assert DecodeConfig.make("greedy").fidelity == "exact rule"


def broken(select, name="broken", frozen=True):
    return dataclass(frozen=frozen)(type("Broken", (Policy,), {"name": name, "select": select}))


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
        pytest.param(
            lambda: dict, "is not a strategy: inherit one of Policy, Drafter", id="no strategy"
        ),
    ],
)
def test_broken_plugs_are_refused_at_once(plug, words):
    with pytest.raises(UserError, match=words):
        register(plug())


def pairs(**declared):
    """A top-k of one position that takes two."""

    def select(self, scores, masked):
        return masked & (masked.cumsum(-1) <= 2)

    body = {"name": "pairs", "select": select, **declared}
    return dataclass(frozen=True)(type("Pairs", (TopK,), body))


def test_exactness_rests_on_what_a_policy_declares_and_a_false_declaration_is_refused():
    with pytest.raises(UserError, match="'pairs' declares at most 1 commits a step and selected 2"):
        register(pairs())
    with pytest.raises(UserError, match="declares at most 1 commits a step"):
        DecodeConfig.make("psd", policy=pairs()(), acceptor="subset")
    honest = pairs(max_commits=None)
    assert not DecodeConfig.make("psd", policy=honest(), acceptor="subset").exact
    assert DecodeConfig.make("psd", policy=TopK(1), acceptor="subset").exact


def test_a_declared_order_that_follows_the_scores_is_refused():
    with pytest.raises(UserError, match="declares a fixed order but its choice depends"):
        register(dataclass(frozen=True)(type("Fixed", (TopK,), {"name": "f", "fixed_order": True})))


@pytest.mark.parametrize("kind", [Lookahead, Explore, BestMean, Rejection, Prophet, NoCache])
def test_every_kind_that_the_package_uses_can_be_registered(kind):
    mine = dataclass(frozen=True)(type("Mine", (kind,), {"name": "mine"}))
    assert register(mine) is mine
    assert any(registry.get("mine") is mine for _, registry in KINDS.values())


@dataclass(frozen=True)
class Guided(Policy):
    """A policy whose second model has a name of its own."""

    guide: object = None
    name: ClassVar[str] = "guided"

    @property
    def needs(self):
        return Needs(second_model="guide")

    def select(self, scores, masked):
        return masked


def test_a_second_model_is_found_and_named_whatever_its_field_is_called():
    config = DecodeConfig.make("psd", policy=Guided(tiny_model(3)), depth=0)
    assert config.second_models()["policy.guide"].name == "tiny-3"
    assert config.to_dict()["policy"] == {"name": "guided", "guide": "tiny-3"}
