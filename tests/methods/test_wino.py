"""WINO: the shadow block's attention, its opinions against a plain forward, what is taken back, and
that it ends.
"""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from support.configs import GEN, run
from support.models import make_model, make_prompts

import psd_lib
from psd_lib import DecodeConfig, Policy
from psd_lib.core.cache import visibility
from psd_lib.core.scores import ban
from psd_lib.errors import UserError
from psd_lib.methods.wino import RunningWino, Wino, shadow_visible
from psd_lib.testing import fake_batch


def test_a_shadow_sees_everything_but_its_twin_and_nobody_sees_a_shadow():
    visible = torch.ones(1, 1, 3, 3, dtype=torch.bool)
    assert shadow_visible(visible, torch.tensor([[1, 2]]), 3)[0, 0].int().tolist() == [
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 0, 1, 1, 1],
        [1, 1, 0, 1, 1],
    ]


def test_a_shadow_behind_the_canvas_does_not_exist():
    visible = visibility(torch.tensor([[-1, 0, 1]]), torch.tensor([[0, 0, 0]]), False)
    found = shadow_visible(visible, torch.tensor([[2, 3]]), 3)[0, 0].int().tolist()
    assert found[3] == [0, 1, 0, 1, 0] and found[4][3:] == [1, 0]


@dataclass(frozen=True)
class Wide(Policy):
    """WINO's own commits without any review."""

    threshold: float = 0.6
    name: ClassVar[str] = "wide"

    def select(self, scores, masked):
        return Wino(self.threshold).select(scores, masked)


def review(hidden, committed):
    """One sequence whose window is the block of six behind a prompt of two."""
    found = RunningWino(Wino(), fake_batch([[4, 4]], 6, 6))
    found.hidden, found.committed = torch.tensor([hidden]), torch.tensor([committed])
    return found


MASKED = torch.tensor([[0, 0, 0, 1, 1, 1]]).bool()
TWO, ONE = torch.tensor([[0, 0, 0, 1, 1, 0]]).bool(), torch.tensor([[0, 0, 0, 1, 0, 0]]).bool()


@pytest.mark.parametrize(
    ("hidden", "committed", "commit", "revoked"),
    [
        pytest.param(
            [0.95, 0.2, 0.7, 0, 0, 0], 3, TWO, [0, 1, 1, 0, 0, 0], id="all that is doubted"
        ),
        pytest.param([0.5, 0.2, 0.7, 0, 0, 0], 3, TWO, [1, 1, 0, 0, 0, 0], id="the lowest two"),
        pytest.param(
            [0.5, 0.5, 0.5, 0, 0, 0],
            2,
            TWO,
            [1, 0, 0, 0, 0, 0],
            id="ties go to the lowest position",
        ),
        pytest.param(
            [0.5, 0.2, 0.7, 0, 0, 0],
            1,
            TWO,
            [0, 0, 0, 0, 0, 0],
            id="fewer than one was taken before",
        ),
        pytest.param(
            [0.5, 0.2, 0.7, 0, 0, 0],
            3,
            ONE,
            [0, 0, 0, 0, 0, 0],
            id="a single commit takes nothing back",
        ),
        pytest.param(
            [0.9, 0.9, 0.95, 0, 0, 0], 3, TWO, [0, 0, 0, 0, 0, 0], id="the limit itself is kept"
        ),
    ],
)
def test_what_is_taken_back(hidden, committed, commit, revoked):
    found = review(hidden, committed)
    assert found.revoke(commit, MASKED)[0].int().tolist() == revoked
    assert found.committed.tolist() == [int(commit.sum())]


def test_prompt_tokens_in_the_window_are_never_taken_back():
    found = review([0.1] * 6, 9)
    found.batch.canvas.prompt_end = 4
    assert found.revoke(TWO, MASKED)[0].int().tolist() == [0, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("future", [False, True], ids=["block-causal", "bidirectional"])
def test_the_calls_with_a_shadow_say_what_plain_calls_say_and_the_review_hides_the_token(
    future, monkeypatch
):
    model, seen = make_model(6, future), []
    update = RunningWino.revoke
    monkeypatch.setattr(
        RunningWino,
        "revoke",
        lambda self, commit, masked: (
            seen.append(
                (
                    self.batch.canvas.ids.clone(),
                    self.batch.canvas.start.clone(),
                    self.hidden.clone(),
                )
            )
            or update(self, commit, masked)
        ),
    )
    [sequence] = psd_lib.generate(
        model, [[3, 4, 5, 6, 7, 8, 9, 2]], "wino", threshold=0.05, keep=0.0, gen_length=16
    )
    plain = psd_lib.generate(
        model, [[3, 4, 5, 6, 7, 8, 9, 2]], policy=Wide(0.05), depth=0, gen_length=16
    )
    assert sequence.tokens == plain[0].tokens
    checked = 0
    for ids, start, hidden in seen:
        begin = int(start)
        window = ids[0, begin : begin + 8].tolist()
        for at, token in enumerate(window):
            if token != model.mask_id and checked < 6:
                size = ids.shape[1] - 16 if future else begin + 8
                checked += 1
                row = torch.cat([ids[0, :size], torch.full((8,), model.mask_id)])[None]
                positions = torch.cat([torch.arange(size), torch.arange(begin, begin + 8)])[None]
                see = torch.ones(1, 1, size + 8, size + 8, dtype=torch.bool)
                if not future:
                    see[0, 0, :size, :size] = (torch.arange(size)[:, None] // 8) >= (
                        torch.arange(size) // 8
                    )
                see[..., :size, size:] = False
                see[0, 0, range(size, size + 8), range(begin, begin + 8)] = False
                logits = model.denoiser.logits(
                    row, positions, see, torch.tensor([0]), torch.tensor([size + at])
                )
                expected = ban(logits, model.mask_id, model.denoiser.vocab_size).softmax(-1)[
                    0, token
                ]
                torch.testing.assert_close(hidden[0, at], expected, atol=1e-4, rtol=1e-3)
    assert checked == 6


@pytest.mark.parametrize("future", [False, True], ids=["block-causal", "bidirectional"])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.filterwarnings("ignore:block_length 8 does not divide")
def test_it_takes_back_ends_and_leaves_a_consistent_trace(future, temperature):
    model, prompts = make_model(7, future, 2.0), make_prompts(35, 5)
    settings = DecodeConfig.make("wino", threshold=0.2, gen_length=GEN, temperature=temperature)
    out = run(model, prompts, settings)
    boldly = run(
        model,
        prompts,
        DecodeConfig.make("wino", threshold=0.2, keep=0.0, gen_length=GEN, temperature=temperature),
    )
    assert any(
        one.nfe > other.nfe for one, other in zip(out, boldly, strict=True)
    )  # something was taken back
    for sequence in out:
        trace = sequence.trace
        assert ((trace.step >= 0) == (trace.tokens >= 0)).all() and -1 not in sequence.tokens
        assert sequence.nfe <= GEN


def test_nothing_doubted_is_the_bold_policy_with_a_block_more_of_queries():
    model, prompt = make_model(0), [[3] * 8]
    [kept] = psd_lib.generate(model, prompt, "wino", keep=0.0, gen_length=16)
    [bare] = psd_lib.generate(model, prompt, policy=Wide(), depth=0, gen_length=16)
    assert (kept.tokens, kept.nfe) == (bare.tokens, bare.nfe)
    assert kept.query_tokens == bare.query_tokens + 8 * kept.nfe


def test_where_it_does_not_fit_is_said():
    model = make_model(0)
    with pytest.raises(
        UserError,
        match=r"cannot be combined with cache 'exact_block': commits .*; use cache 'none'",
    ):
        psd_lib.generate(model, [[3]], "wino", cache="exact_block", gen_length=8)
    model.denoiser.denoiser.shift = True
    with pytest.raises(
        UserError, match="policy 'wino' does not fit this model: its predictions are shifted"
    ):
        psd_lib.generate(model, [[3]], "wino", gen_length=8)
