"""`generate` on a hand-made model of three tokens, every number worked out by hand.

Nothing of the package is used to find what is expected. Logits are small integers, so that the
confidences, the softmax of three logits, can be checked with a pocket calculator:

    logits (x, 0, 0)   x = 1: e / (e + 2) = 2.718 / 4.718 = 0.576
                       x = 2: 7.389 / 9.389 = 0.787
                       x = 3: 20.086 / 22.086 = 0.909
"""

import pytest

import psd_lib
from psd_lib.testing import table_model

PROMPT = [2, 3]
#         the logits of (end, a, b) at each masked position of the state
TABLE = {
    "____": {0: (0, 2, 0), 1: (0, 0, 3), 2: (0, 1, 0), 3: (1, 0, 0)},
    "_b__": {0: (0, 2, 0), 2: (0, 0, 1), 3: (0, 1, 0)},
    "ab__": {2: (0, 0, 2), 3: (0, 1, 0)},
    "aba_": {3: (0, 0, 3)},
    "abb_": {3: (0, 0, 1)},
}
# Greedy, one position a step. In `____` position 1 is the surest (0.909): `_b__`; there position 0
# (0.787): `ab__`; there position 2 (0.787), now with b: `abb_`; and b at last (0.576): `abbb`.
GREEDY = {"tokens": "abbb", "step": [1, 0, 2, 3], "confidence": [0.787, 0.909, 0.787, 0.576]}
# Confidence 0.7 commits positions 0 and 1 of `____` at once (0.787 and 0.909 reach it, 0.576 does
# not): `ab__`; there position 2 alone (0.787): `abb_`; nothing reaches it there, so the best is
# taken (0.576): `abbb`.
CONFIDENCE = {"tokens": "abbb", "step": [0, 0, 1, 2], "confidence": [0.787, 0.909, 0.787, 0.576]}
BARE = {"depth": [0, 0, 0, 0]}
EXPECTED = {
    # One state a call. `abbb` is complete and asks nothing.
    ("greedy", 0): GREEDY
    | BARE
    | {"iteration": [1, 0, 2, 3], "calls": [["____"], ["_b__"], ["ab__"], ["abb_"]]},
    # Two drafts, filled in the order of the old confidences with the old tokens. Above `_b__`:
    # position 0 with a (0.787), then position 2 with a (0.576; position 3 has as much, the tie goes
    # to the lower). From `_b__` greedy makes `ab__`: draft 1 is accepted. From `ab__` it makes
    # `abb_`, not `aba_`: draft 2 is not. Next step `abb_`, draft `abba`, which ends the decoding,
    # so it is asked nothing; greedy makes `abbb` of `abb_`, and that step needs no call.
    ("greedy", 2): GREEDY
    | {
        "iteration": [0, 0, 1, 2],
        "depth": [1, 0, 0, 0],
        "calls": [["____"], ["_b__", "ab__", "aba_"], ["abb_"]],
    },
    ("confidence", 0): CONFIDENCE
    | BARE
    | {"iteration": [0, 0, 1, 2], "calls": [["____"], ["ab__"], ["abb_"]]},
    # Above `ab__` the drafts are `aba_` and `aba.`, which ends; the policy makes `abb_`. Nothing is
    # gained and nothing lost.
    ("confidence", 2): CONFIDENCE
    | BARE
    | {"iteration": [0, 0, 1, 2], "calls": [["____"], ["ab__", "aba_"], ["abb_"]]},
}


def decode(model, policy, depth, **options):
    chosen = {"policy": "top_k", "k": 1} if policy == "greedy" else {"threshold": 0.7}
    [sequence] = psd_lib.generate(model, [PROMPT], depth=depth, gen_length=4, **chosen, **options)
    return sequence


@pytest.mark.parametrize("block_length", [4, 2])
@pytest.mark.parametrize(("policy", "depth"), EXPECTED)
def test_every_token_step_and_call_is_the_one_worked_out_by_hand(policy, depth, block_length):
    """In two blocks of two the same happens as in one of four: this model never wants a position of
    the second block before the first is full. Only the drafts differ, which stay in their block.
    """
    model, expected = table_model(TABLE, block_length), EXPECTED[policy, depth]
    sequence = decode(model, policy, depth)
    trace = sequence.trace
    assert model.denoiser.text(sequence.tokens) == expected["tokens"]
    assert trace.step.tolist() == expected["step"]
    assert trace.iteration.tolist() == expected["iteration"]
    assert trace.depth.tolist() == expected["depth"]
    assert trace.confidence.tolist() == pytest.approx(expected["confidence"], abs=5e-4)
    # `ab__` completes the first of two blocks and is asked about the second; `aba_` would leave it.
    outside = ["aba_"] if block_length == 2 else []
    calls = [[state for state in call if state not in outside] for call in expected["calls"]]
    assert model.denoiser.asked == calls
    assert sequence.nfe == len(calls)
    assert sequence.rows == sum(map(len, calls))
    assert sequence.tpf == 4 / len(calls)


ENDING = {
    "____": {0: (0, 2, 0), 1: (3, 0, 0), 2: (0, 1, 0), 3: (0, 1, 0)},
    "_.__": {0: (0, 2, 0), 2: (0, 0, 1), 3: (0, 0, 1)},
}


@pytest.mark.parametrize("depth", [0, 2])
def test_decoding_ends_at_an_end_with_nothing_masked_before_it(depth):
    """The end comes first (0.909), at position 1; the sequence is over when position 0 is filled
    (0.787). What lies behind stays masked; drafts beyond `a.__` are not asked about.
    """
    model = table_model(ENDING, 4)
    sequence = decode(model, "greedy", depth)
    assert model.denoiser.text(sequence.tokens) == "a" and sequence.stopped == "eos"
    assert sequence.trace.step.tolist() == [1, 0, -1, -1]
    assert model.denoiser.asked == [["____"], ["_.__"]]
    assert (sequence.nfe, sequence.rows, sequence.tpf) == (2, 2, 0.5)


def test_token_agreement_accepts_what_greedy_would_not_do():
    """`abb` in another order: above `_b__` the old order says position 0, then 2, and the model
    still wants the same tokens there, but position 2 first. `token_chain` accepts both drafts in
    one call; `replay` neither.
    """
    table = {
        "___": {0: (0, 2, 0), 1: (0, 0, 3), 2: (0, 0, 1)},
        "_b_": {0: (0, 1, 0), 2: (0, 0, 2)},
        "ab_": {2: (0, 0, 1)},
        "_bb": {0: (0, 0, 1)},  # with position 2 known, the model wants b at position 0
    }
    made = {}
    for acceptor in ("replay", "token_chain"):
        model = table_model(table, 3)
        [sequence] = psd_lib.generate(
            model, [PROMPT], policy="top_k", k=1, depth=2, gen_length=3, acceptor=acceptor
        )
        made[acceptor] = (model.denoiser.text(sequence.tokens), sequence.trace.depth.tolist())
        asked = model.denoiser.asked
        assert asked[:2] == [["___"], ["_b_", "ab_"]]
        assert asked[2:] == ([["_bb"]] if acceptor == "replay" else [])
    assert made == {"replay": ("bbb", [0, 0, 0]), "token_chain": ("abb", [1, 0, 2])}
