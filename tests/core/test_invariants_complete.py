"""The list of the method's invariants, and that each of them has tests that bear its number
(`test_invariant_<n>_...`).
"""

import re
from pathlib import Path

import pytest

INVARIANTS = {
    1: (
        "replay gives the reference trajectory state by state, with any deterministic policy and"
        " any builder"
    ),
    2: "without drafts it is the bare policy in tokens and calls",
    3: "FreeDave(K) = SSD(K - 1) = Spiffy(chain, K - 1) = PSD(greedy, K - 1) in every record",
    4: "subset is replay where the policy commits one token a step",
    5: "token_chain is replay for left_to_right, and for greedy it is not",
    6: "garbage drafts change nothing and cost no calls",
    7: "an oracle needs 1 + ceil((T - 1) / (D + 1)) calls",
    8: "order and duplicates of nodes do not matter",
    9: "1 to 3 hold with fixed noise at temperature > 0",
    10: "replay never needs more calls: each sequence, block, policy, cache",
    11: "every iteration advances, so the loop ends",
    12: "nodes strictly contain node 0, keep to the window, the masks and the budget",
    13: (
        "tokens a call are bounded by the policy's step and the drafts; one convention for storing"
        " in both arms"
    ),
    14: "deeper chains do not need more calls on average",
    15: "batched copies, packed rows and single calls predict the same and walk alike",
    16: "inherited scores are those of a fresh call",
    17: "all states read the same stored keys, and drafts that fail leave the store alone",
    18: "drafts stop at the block's end, the last step is free",
    19: "decoding stops at the first state that ends, and counts what stands before the end",
    20: "storing is counted alike in both arms, and eager drafts give the same output",
    21: (
        "policies are never empty, take masked positions only, ties by position; their known"
        " special cases agree"
    ),
    22: "graph edges follow the parent rule, either parent leads on, pruning changes calls only",
    23: "SimSD's mask, what it is exact for, and its leak",
}
NAME = re.compile(r"^def test_invariant_((?:(?:and_)?\d+_)+)", re.MULTILINE)


def numbers(text: str) -> list[list[int]]:
    """The invariants that each test function of a file bears in its name."""
    return [[int(number) for number in re.findall(r"\d+", found)] for found in NAME.findall(text)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("def test_invariant_23_the_8_by_8_mask():", [[23]]),
        ("def test_invariant_1_2_9_and_10_every_policy(model):", [[1, 2, 9, 10]]),
        ("def test_invariant_7_an_oracle_needs_3_calls():", [[7]]),
        ("def test_something_of_invariant_3():", []),
    ],
)
def test_how_a_name_is_read(name, expected):
    assert numbers(name) == expected


def test_every_invariant_has_a_test_of_its_number():
    texts = [path.read_text() for path in sorted(Path(__file__).parents[1].rglob("test_*.py"))]
    found = {number for text in texts for test in numbers(text) for number in test}
    assert sorted(found) == list(INVARIANTS) == list(range(1, 24))
    assert not any(re.search(r"^def test_invariants_", text, re.MULTILINE) for text in texts), (
        "write test_invariant_<n>_and_<m>_..., so that the numbers are found"
    )
