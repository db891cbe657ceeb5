"""Six situations that every policy must state its behaviour in, as states before and after one
step.

A state is written as one character a position: a token id, `_` masked, `.` behind the last
position; `!` says that decoding ends there. Id 0 is the end of sequence, 1 the mask token. A policy
of `POLICIES` without a line in `AFTER` fails; policies that remember, revoke or ask a judge have a
second line for what they do at work.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from psd_lib import POLICIES
from psd_lib.core.policies import TopK
from psd_lib.core.scores import Scores, ban, score
from psd_lib.core.states import Where
from psd_lib.methods.apd import Judged, RunningJudged
from psd_lib.methods.credit import Credit, RunningCredit
from psd_lib.methods.klass import Klass, RunningKlass
from psd_lib.methods.sdar import SdarSequential, SdarStatic
from psd_lib.methods.wino import RunningWino, Wino
from psd_lib.testing import FakeDenoiser, fake_batch

EOS, M, VOCAB = 0, 1, 5  # ids 0 to 4; row 5 of the logits belongs to no token
SEQUENCE, OFFSET = torch.tensor([0] * 4 + [1] * 4), torch.tensor([0, 1, 2, 3] * 2)
# all rows are of node 0, and none belongs to a block that has just begun
WHERE = Where(SEQUENCE, SEQUENCE * 0, OFFSET, torch.zeros(8, dtype=torch.bool))


@dataclass(frozen=True)
class Situation:
    """Two windows, the best token at each position and its probability; the rest is spread evenly
    over the other tokens.

    `judge` is what diffusion model and judge choose together; with `mask_wins` the mask token and
    the unused row 5 are each nine times as likely as all tokens together.
    """

    before: str
    best: str
    confidence: list[list[float]]
    judge: str
    mask_wins: bool = False

    def logits(self) -> torch.Tensor:
        """Raw logits of all positions, `[8, 6]`, sequence by sequence."""
        best = torch.tensor([int(token) for token in self.best.replace(" ", "")])
        confidence = torch.tensor(self.confidence).flatten()
        chance = ((1 - confidence) / (VOCAB - 2))[:, None].repeat(1, VOCAB + 1)
        chance[range(8), best] = confidence
        chance[:, [M, VOCAB]] = 9.0 if self.mask_wins else 1e-9
        return chance.log()


SITUATIONS = {
    "ties": Situation(
        "____ ____", "2222 2222", [[0.5, 0.5, 0.5, 0.5], [0.5, 0.95, 0.95, 0.5]], "3333 2322"
    ),
    "all masked": Situation(
        "____ ____", "2342 2342", [[0.99, 0.84, 0.5, 0.97], [0.3, 0.38, 0.35, 0.3]], "2302 3342"
    ),
    "one left": Situation(
        "44_4 _444", "4424 3444", [[0.5, 0.5, 0.3, 0.5], [0.99, 0.5, 0.5, 0.5]], "4434 3444"
    ),
    "EOS inside": Situation(
        "____ 44__", "2002 4402", [[0.5, 0.95, 0.92, 0.7], [0.5, 0.5, 0.95, 0.93]], "2002 4402"
    ),
    "the argmax is the mask": Situation(
        "____ 4_4_", "2342 4342", [[0.95, 0.5, 0.7, 0.4], [0.5, 0.92, 0.5, 0.95]], "2340 4042", True
    ),
    "short tail": Situation(
        "__.. 4_..", "2300 4300", [[0.8, 0.95, 0.5, 0.5], [0.5, 0.3, 0.5, 0.5]], "2300 4300"
    ),
}


def klass_at_work(situation):
    return seen_before(RunningKlass(Klass(steps=1), batch()), situation)


def credit_at_work(situation):
    return seen_before(RunningCredit(Credit(), batch()), situation)


def seen_before(history, situation):
    """With one earlier step of the same distributions in its memory."""
    history.process_logits(ban(situation.logits(), M, VOCAB), WHERE)
    return history


def wino_at_work(situation):
    """Doubting every decided token, after a step that committed three."""
    review = RunningWino(Wino(), batch(2 if "." in situation.before else 4))
    review.hidden, review.committed = torch.full((2, 4), 0.1), torch.tensor([3, 3])
    return review


def batch(length=4):
    """Two sequences whose window is all generated: a prompt of one block, then this block."""
    denoiser = FakeDenoiser(lambda row, ids, column: [0.0] * VOCAB, VOCAB, M, (EOS,))
    return fake_batch([[4] * 4] * 2, length, 4, denoiser)


def apd_at_work(situation):
    """A judge that is sure of the situation's tokens and alone decides (ratio 0)."""
    rows = [[int(token) for token in row] for row in situation.judge.split()]

    def opinion(row, ids, column):
        return [10.0 * (token == rows[row][column - 4]) for token in range(VOCAB + 1)]

    judge = SimpleNamespace(name="judge", denoiser=FakeDenoiser(opinion, VOCAB, M, (EOS,)))
    return RunningJudged(Judged(ratio=0.0, judge=judge), batch())


MAKE = {name: lambda situation, policy=policy: policy() for name, policy in POLICIES.items()} | {
    "top_k 2": lambda situation: TopK(2),
    "sdar_static 2 steps": lambda situation: SdarStatic(2),
    "sdar_sequential 2 steps": lambda situation: SdarSequential(2),
    "klass at work": klass_at_work,
    "credit at work": credit_at_work,
    "wino at work": wino_at_work,
    "apd at work": apd_at_work,
}
#                               ties         all masked   one left     EOS inside     argmax is mask
# short tail
AFTER = {
    "top_k": ("2___ _2__", "2___ _3__", "4424 3444", "_0__ 440_!", "2___ 4_42", "_3.. 43..!"),
    "confidence": ("2___ _22_", "2__2 _3__", "4424 3444", "_00_ 4402!", "2___ 4342", "_3.. 43..!"),
    "local_leap": ("2___ _22_", "23_2 _3__", "4424 3444", "_00_ 4402!", "2___ 4342", "23..! 43..!"),
    "left_to_right": (
        "2___ 2___",
        "2___ 2___",
        "4424 3444",
        "2___ 440_!",
        "2___ 434_",
        "2_.. 43..!",
    ),
    "factor": ("2___ _22_", "23_2 _3__", "4424 3444", "_00_ 4402!", "2_4_ 4342", "23..! 43..!"),
    "entropy_bound": (
        "2___ _2__",
        "2__2 _3__",
        "4424 3444",
        "_0__ 440_!",
        "2___ 4_42",
        "_3.. 43..!",
    ),
    "margin": ("2___ _22_", "2__2 _3__", "4424 3444", "_00_ 4402!", "2___ 4342", "_3.. 43..!"),
    "entropy": ("2___ _22_", "2__2 _3__", "4424 3444", "_00_ 4402!", "2___ 4342", "_3.. 43..!"),
    "sdar_dynamic": (
        "2___ _22_",
        "2__2 _3__",
        "4424 3444",
        "_00_ 4402!",
        "2___ 4342",
        "_3.. 43..!",
    ),
    "sdar_static": ("2___ _2__", "2___ _3__", "4424 3444", "_0__ 440_!", "2___ 4_42", "_3.. 43..!"),
    "sdar_sequential": (
        "2___ 2___",
        "2___ 2___",
        "4424 3444",
        "2___ 440_!",
        "2___ 434_",
        "2_.. 43..!",
    ),
    "hierarchy": ("2___ _22_", "2__2 _3__", "4424 3444", "_00_ 4402!", "2___ 4342", "_3.. 43..!"),
    "klass": ("2___ _2__", "2___ _3__", "4424 3444", "_0__ 440_!", "2___ 4_42", "_3.. 43..!"),
    "credit": ("2___ _22_", "2__2 _3__", "4424 3444", "_00_ 4402!", "2___ 4342", "_3.. 43..!"),
    "wino": ("2___ _22_", "23_2 _3__", "4424 3444", "_002 4402!", "2_4_ 4342", "23..! 43..!"),
    "apd": ("2___ 2___", "2___ 2___", "4424 3444", "2___ 440_!", "2___ 434_", "2_.. 43..!"),
    "top_k 2": ("22__ _22_", "2__2 _34_", "4424 3444", "_00_ 4402!", "2_4_ 4342", "23..! 43..!"),
    "sdar_static 2 steps": (
        "22__ _22_",
        "2__2 _34_",
        "4424 3444",
        "_00_ 4402!",
        "2_4_ 4342",
        "23..! 43..!",
    ),
    "sdar_sequential 2 steps": (
        "22__ 22__",
        "23__ 23__",
        "4424 3444",
        "20__! 4402!",
        "23__ 4342",
        "23..! 43..!",
    ),
    "klass at work": (
        "2___ _22_",
        "23_2 _3__",
        "4424 3444",
        "_002 4402!",
        "2_4_ 4342",
        "23..! 43..!",
    ),
    "credit at work": (
        "2___ _22_",
        "23_2 _3__",
        "4424 3444",
        "_00_ 4402!",
        "2___ 4342",
        "_3.. 43..!",
    ),
    "wino at work": (
        "2___ _22_",
        "23_2 _3__",
        "4424 3444",
        "_002 __02",
        "2_4_ _3_2",
        "23..! 43..!",
    ),
    "apd at work": (
        "2___ 2___",
        "23__ 2342",
        "4424 3444",
        "2002! 4402!",
        "234_ 4342",
        "23..! 43..!",
    ),
}


def test_every_policy_has_its_line_and_every_line_its_policy():
    assert sorted(AFTER) == sorted(MAKE), (
        "a policy of POLICIES states what it does in each situation of this file"
    )


@pytest.mark.parametrize("name", AFTER)
def test_what_every_policy_does_in_every_situation(name):
    found = {
        title: after(MAKE[name](situation), situation) for title, situation in SITUATIONS.items()
    }
    assert found == dict(zip(SITUATIONS, AFTER[name], strict=True))


def after(policy, situation) -> str:
    """The state that one policy step leads to."""
    rows = situation.before.split()
    tokens = torch.tensor(
        [[M if c == "_" else EOS if c == "." else int(c) for c in row] for row in rows]
    )
    masked = tokens == M
    logits = ban(situation.logits(), M, VOCAB)
    logits = policy.process_logits(logits, WHERE)
    flat = score(logits, detail=True)
    seen = Scores(*(value.reshape(2, 4) for value in vars(flat).values() if value is not None))
    # the loop has no scores where nothing is masked: the standing token, and zeros
    scores = seen.map(
        lambda value: torch.where(
            masked, value, torch.zeros_like(value) if value.is_floating_point() else tokens
        )
    )
    commit = policy.select(scores, masked)
    assert (
        commit.dtype == torch.bool
        and not (commit & ~masked).any()
        and (commit.any(-1) == masked.any(-1)).all()
    )
    assert not (scores.token[commit] == M).any() and (scores.token[commit] < VOCAB).all()
    state = torch.where(commit, scores.token, tokens)
    revoked = policy.revoke(commit, masked)
    if revoked is not None:
        state = torch.where(revoked & ~masked, M, state)
    ended = batch().canvas.ends(state[:, None], (state == M)[:, None])[:, 0]
    return " ".join(
        written(*each) for each in zip(state.tolist(), rows, ended.tolist(), strict=True)
    )


def written(state, before, ended):
    text = "".join(
        "_" if token == M else "." if old == "." else str(token)
        for token, old in zip(state, before, strict=True)
    )
    return text + "!" * ended
