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

from psd_lib.decoding.canvas import Canvas
from psd_lib.decoding.policies import (
    POLICIES,
    Credit,
    Klass,
    SdarSequential,
    SdarStatic,
    TopK,
    Wino,
)
from psd_lib.decoding.policies.history import CreditHistory, KlassHistory
from psd_lib.decoding.policies.judged import Judged, Judging
from psd_lib.decoding.policies.wino import WinoReview
from psd_lib.decoding.scores import Scores, ban, score

EOS, M, VOCAB = 0, 1, 5  # ids 0 to 4; row 5 of the logits belongs to no token
SEQUENCE, OFFSET = torch.tensor([0] * 4 + [1] * 4), torch.tensor([0, 1, 2, 3] * 2)
GOING_ON = torch.zeros(8, dtype=torch.bool)  # no position belongs to a block that has just begun


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
    return seen_before(KlassHistory(Klass(steps=1), 2, 4), situation)


def credit_at_work(situation):
    return seen_before(CreditHistory(Credit(), 2, 4), situation)


def seen_before(history, situation):
    """With one earlier step of the same distributions in its memory."""
    history.observe(ban(situation.logits(), M, VOCAB), SEQUENCE, OFFSET, GOING_ON)
    return history


def wino_at_work(situation):
    """Doubting every decided token, after a step that committed three."""
    columns = torch.arange(4, 8).expand(2, -1)
    end = 6 if "." in situation.before else 8
    canvas = SimpleNamespace(
        ids=torch.zeros(2, 8),
        width=4,
        start=torch.tensor([4, 4]),
        prompt_end=4,
        end=end,
        columns=lambda: columns,
    )
    denoiser = SimpleNamespace(sees_future=True, causal_context=False)
    review = WinoReview(Wino(), SimpleNamespace(canvas=canvas, denoiser=denoiser, session=None))
    review.hidden, review.taken = torch.full((2, 4), 0.1), torch.tensor([3, 3])
    return review


def apd_at_work(situation):
    judging = Judging(Judged(), None)
    judging._mixture = lambda scores, masked: torch.tensor(
        [[int(token) for token in row] for row in situation.judge.split()]
    )
    judging.observe = lambda logits, sequence, offset, fresh: logits
    return judging


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
    assert list(AFTER) == list(MAKE), (
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
    if hasattr(policy, "observe"):
        logits = policy.observe(logits, SEQUENCE, OFFSET, GOING_ON)
    flat = score(logits, detail=True)
    seen = Scores(*(value.reshape(2, 4) for value in vars(flat).values()))
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
    if hasattr(policy, "revoke"):
        state = torch.where(policy.revoke(commit, masked) & ~masked, M, state)
    ended = canvas().ends(state[:, None], (state == M)[:, None])[:, 0]
    return " ".join(written(*each) for each in zip(state.tolist(), rows, ended.tolist()))


def canvas():
    """Two sequences whose window is all generated: a prompt of one block, then this block."""
    return Canvas(SimpleNamespace(mask_id=M, eos_ids=(EOS,)), [[4] * 4] * 2, 4, 4, True, "cpu")


def written(state, before, ended):
    text = "".join(
        "_" if token == M else "." if old == "." else str(token)
        for token, old in zip(state, before)
    )
    return text + "!" * ended
