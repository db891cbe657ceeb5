"""Acceptors: from which guessed state may we walk to which?

All acceptors answer the same question, the next node for every node, and share one walk. Only
`replay` reproduces every deterministic policy exactly; the others are approximations in general and
say when they are not (`exact_for`). To add one, write a frozen dataclass in a file of this folder
and list it in `ACCEPTORS`.
"""

from psd_lib.decoding.acceptance.base import Acceptor, walk
from psd_lib.decoding.acceptance.branches import BestMean, Foresight, LargestStep
from psd_lib.decoding.acceptance.rejection import Rejection
from psd_lib.decoding.acceptance.rules import Replay, Subset, TokenChain, TokenRoot, agrees

ACCEPTORS: dict[str, type] = {
    rule.name: rule
    for rule in (Replay, Subset, TokenChain, TokenRoot, BestMean, Foresight, LargestStep, Rejection)
}

__all__ = [
    "ACCEPTORS",
    "Acceptor",
    "BestMean",
    "Foresight",
    "LargestStep",
    "Rejection",
    "Replay",
    "Subset",
    "TokenChain",
    "TokenRoot",
    "agrees",
    "walk",
]
