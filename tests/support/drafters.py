"""Drafters for tests: every registered one, and some whose drafts are bad on purpose."""

import torch

from psd_lib.decoding.drafts import BUILDERS, Chain
from psd_lib.decoding.graphs import Graph, Measured
from psd_lib.decoding.scores import Scores
from support.models import make_model

SWAPS = Measured(
    Graph(([(0, 0)], [(0, 1)], [(1, 0)], [(0, 0), (1, 0)], [(0, 0), (1, 2)])), 8, "literal", ""
)
# Arguments of the drafters that cannot be made without any.
ARGUMENTS = {"calibrated": (SWAPS, 5), "draft_model": (3, make_model(7))}
# The drafters that leave the calls of the model as they are.
EXACT_DRAFTERS = [
    name for name, drafter in BUILDERS.items() if not getattr(drafter, "approximate", False)
]


def make_drafter(name):
    """A registered drafter, with the arguments that it cannot be made without."""
    return BUILDERS[name](*ARGUMENTS.get(name, ()))


class Garbage(Chain):
    """Random tokens at random masked positions."""

    def build(self, node0, masked, stale, policy, taken):
        generator = torch.Generator().manual_seed(int(node0.sum()))
        noise = torch.rand(masked.shape, generator=generator)
        tokens = torch.randint(2, 30, masked.shape, generator=generator)
        return super().build(node0, masked, Scores(tokens, noise), policy, taken)
