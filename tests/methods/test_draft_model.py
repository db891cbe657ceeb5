"""A second model that drafts: its states, what it costs, and what is refused."""

from dataclasses import replace

import pytest
import torch
from support.configs import config, run
from support.models import make_model, make_prompts

from psd_lib.core.policies import TopK
from psd_lib.core.scores import Scores
from psd_lib.errors import UserError
from psd_lib.methods.draft_model import DraftModel, RunningDraftModel
from psd_lib.testing import fake_batch, step_of, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")
M = 1  # the mask token


def test_draft_model_docstring_example(monkeypatch):
    node0 = torch.tensor([[7, M, M, M], [7, 8, M, 9]])
    script = [
        ([[7, 1, 2, 3], [7, 8, 4, 9]], [[0.0, 0.3, 0.6, 0.5], [0.0, 0.0, 0.2, 0.0]]),
        ([[7, 5, 2, 3], [7, 8, 4, 9]], [[0.0, 0.7, 0.0, 0.6], [0.0, 0.0, 0.0, 0.0]]),
    ]
    running = RunningDraftModel(DraftModel(2, make_model(0)), fake_batch([[4], [4]], 4, 4))
    monkeypatch.setattr(
        running, "scores", lambda state: Scores(*map(torch.tensor, script.pop(0))), raising=False
    )
    drafts = running.draft(step_of(node0, node0 == M, None, TopK(1), torch.tensor([1, 1])))
    assert drafts.tokens[0].tolist() == [[7, M, M, M], [7, M, 2, M], [7, 5, 2, M]]
    assert drafts.tokens[1, :2].tolist() == [[7, 8, M, 9], [7, 8, 4, 9]]
    assert drafts.valid.tolist() == [[True, True, True], [True, True, False]]


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_target_that_drafts_for_itself_guesses_every_state(temperature):
    """The same weights propose what the target then does, so at depth 3 each block of 8 needs two
    calls.
    """
    model, prompts = make_model(0), [[5] * 8, [6] * 16]
    settings = config("top_k", gen_length=16, temperature=temperature)
    drafted = run(model, prompts, replace(settings, drafter=DraftModel(3, model)))
    for one, other in zip(run(model, prompts, settings.bare), drafted, strict=True):
        assert one.tokens == other.tokens
        assert all(entry["accepted"] == entry["drafted"] for entry in other.trace.iterations)
        assert other.nfe == 1 + 16 // 4


def test_the_draft_models_calls_are_counted_apart():
    model, draft = make_model(0), make_model(7)
    out = run(
        model, make_prompts(61, 4), replace(config("confidence"), drafter=DraftModel(2, draft))
    )
    assert (
        out.ledger.second_nfe == sum(forward.kind == "draft" for forward in out.ledger.forwards) > 0
    )
    assert {forward.model for forward in out.ledger.forwards} == {"", draft.name}
    assert out.ledger.nfe == sum(
        forward.kind in ("first", "verify") for forward in out.ledger.forwards
    )


def test_a_draft_model_of_other_tokens_or_none_is_refused():
    with pytest.raises(UserError, match="tiny-1' and 'tiny-0' have different tokenizers"):
        run(
            make_model(0),
            [[5]],
            replace(config("top_k"), drafter=DraftModel(2, tiny_model(1, words=29))),
        )
    with pytest.raises(UserError, match="needs a draft model: pass draft=NAME"):
        run(make_model(0), [[5]], replace(config("top_k"), drafter=DraftModel(2)))
    with pytest.raises(UserError, match="depth must be a whole number of at least 0"):
        DraftModel(-1)


def test_a_config_names_the_draft_model():
    described = replace(config("top_k"), drafter=DraftModel(2, "mini-sdar-draft")).to_dict()[
        "builder"
    ]
    assert described == {"name": "draft_model", "depth": 2, "draft": "mini-sdar-draft"}
    assert DraftModel(2, "mini-sdar-draft").label == "mini-sdar-draft d=2"
