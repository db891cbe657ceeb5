"""APD: the judge's part on literal distributions, its calls in the ledger, and which judges are
refused.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from support.configs import GEN, run
from support.models import make_model, make_prompts, tiny_judge

import psd_lib
from psd_lib import DecodeConfig
from psd_lib.core.scores import Scores, ban
from psd_lib.core.states import Where
from psd_lib.errors import UserError
from psd_lib.methods.apd import Judged, RunningJudged
from psd_lib.testing import FakeDenoiser, fake_batch, tiny_model, tiny_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:block_length 8 does not divide")


def select(proposal, mixture, masked):
    """What is committed where the judge alone decides and chooses `mixture`."""
    rows = torch.tensor(mixture).tolist()
    opinion = FakeDenoiser(
        lambda row, ids, column: [10.0 * (token == rows[row][column - 1]) for token in range(32)],
        32,
        1,
        (0,),
    )
    judge = SimpleNamespace(name="judge", denoiser=opinion)
    judging = RunningJudged(
        Judged(0.0, judge), fake_batch([[4]] * len(rows), len(rows[0]), len(rows[0]))
    )
    judging.process_logits(
        torch.zeros(1, 32), Where(*(torch.zeros(1, dtype=torch.long) for _ in range(4)))
    )
    proposal = torch.tensor(proposal)
    chosen = judging.select(Scores(proposal, proposal.float()), torch.tensor(masked).bool())
    return chosen.int().tolist()


def test_docstring_example():
    proposal, mixture = [[7, 1, 2, 3], [4, 5, 6, 9]], [[0, 8, 2, 5], [4, 8, 6, 0]]
    assert select(proposal, mixture, [[0, 1, 1, 1], [1, 1, 1, 0]]) == [
        [0, 1, 1, 0],
        [1, 0, 0, 0],
    ]


def test_gaps_between_masks_neither_help_nor_hinder():
    assert select([[4, 5, 6, 7]], [[4, 0, 6, 7]], [[1, 0, 1, 1]]) == [[1, 0, 1, 1]]
    assert select([[4, 5, 6, 7]], [[0, 0, 0, 0]], [[0, 0, 0, 0]]) == [[0, 0, 0, 0]]


@pytest.mark.parametrize("future", [False, True], ids=["block-causal", "bidirectional"])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_judge_without_a_voice_agrees_to_everything_and_one_with_all_of_it_does_not(
    future, temperature
):
    model, judge, prompts = make_model(8, future), tiny_judge(9), make_prompts(36, 4)
    silent, loud = (
        run(
            model,
            prompts,
            DecodeConfig.make(
                "apd", judge=judge, ratio=ratio, gen_length=GEN, temperature=temperature
            ),
        )
        for ratio in (1.0, 0.0)
    )
    assert all(
        sequence.nfe == len({entry["block"] for entry in sequence.trace.iterations})
        for sequence in silent
    )
    assert sum(sequence.nfe for sequence in loud) > sum(sequence.nfe for sequence in silent)
    for sequence in loud:  # strictly from the left
        assert (
            sequence.trace.step[sequence.trace.step >= 0][1:]
            >= sequence.trace.step[sequence.trace.step >= 0][:-1]
        ).all()


def test_what_is_committed_is_what_both_models_choose_together():
    model, judge = make_model(8), tiny_judge(9)
    prompt = [3, 4, 5, 6, 7, 8, 9, 2]
    [sequence] = psd_lib.generate(
        model, [prompt], "apd", judge=judge, ratio=0.5, gen_length=8, record_scores=True
    )
    first = sequence.trace.scores[0]
    ids = prompt + [int(token) for token in first["token"]]
    expected, visible = 0, torch.ones(16, 16).tril().bool()[None, None]
    row = torch.zeros(8, dtype=torch.long)
    read = judge.denoiser.logits(
        torch.tensor([ids]), torch.arange(16)[None], visible, row, torch.arange(8, 16)
    )
    own = model.denoiser.logits(
        torch.tensor([prompt + [1] * 8]),
        torch.arange(16)[None],
        (torch.arange(16)[:, None] // 8 >= torch.arange(16) // 8)[None, None],
        row,
        torch.arange(8, 16),
    )
    read, own = (ban(logits, model.mask_id, model.denoiser.vocab_size) for logits in (read, own))
    together = (read.log_softmax(-1) + own.log_softmax(-1)).argmax(-1).tolist()
    while expected < 8 and (expected == 0 or together[expected] == ids[8 + expected]):
        expected += 1
    assert (sequence.trace.step == 0).sum() == expected


def test_the_judges_calls_are_counted_apart():
    model, judge = make_model(8), tiny_judge(9)
    out = psd_lib.generate(model, [[3, 4], [5, 6, 7]], "apd", judge=judge, gen_length=16)
    ledger = out.ledger
    judged = [forward for forward in ledger.forwards if forward.model]
    assert {forward.model for forward in judged} == {judge.name} and ledger.second_nfe == len(
        judged
    ) == ledger.nfe
    assert ledger.nfe == max(sequence.nfe for sequence in out)
    assert ledger.second_query_tokens == sum(
        s.second_nfe * (length + 16) for s, length in zip(out, (2, 3), strict=True)
    )


def test_judges_that_cannot_judge_are_refused():
    model, judge = make_model(0), tiny_judge(1)
    with pytest.raises(
        UserError,
        match="decoder 'apd' needs a judge model: pass judge=NAME, such as judge='mini-ar'",
    ):
        psd_lib.generate(model, ["w3"], "apd", gen_length=8)
    with pytest.raises(
        UserError, match="judge 'tiny-0' is not autoregressive; pass a model of the qwen3 family"
    ):
        psd_lib.generate(model, ["w3"], "apd", judge=tiny_model(0), gen_length=8)
    with pytest.raises(
        UserError, match="judge must be the name of a model or a loaded model, got 3"
    ):
        psd_lib.generate(model, ["w3"], "apd", judge=3, gen_length=8)
    foreign = replace(judge, tokenizer=tiny_tokenizer(29))
    with pytest.raises(
        UserError,
        match=(
            "have different tokenizers, so their token ids do not mean the same; use a judge that"
        ),
    ):
        psd_lib.generate(model, ["w3"], "apd", judge=foreign, gen_length=8)
    with pytest.raises(UserError, match="the judge model is not loaded"):
        from psd_lib import decode

        decode(model.denoiser, [[3]], DecodeConfig.make("apd", judge="mini-ar", gen_length=8), 8)


def test_rows_name_the_judge():
    config = DecodeConfig.make("apd", judge=tiny_judge(1))
    assert config.to_dict()["policy"] == {"name": "apd", "ratio": 0.7, "judge": "tiny-1"}
    assert config.label == "APD 0.7 by tiny-1"
