"""Drafters for tests: every registered one, and some whose drafts are bad on purpose."""

from dataclasses import replace

import torch

from psd_lib import DRAFTERS
from psd_lib.core.chain import Chain
from psd_lib.core.scores import Scores
from psd_lib.methods.spiffy.graph import CalibratedGraph, Graph
from support.models import make_model

SWAPS = CalibratedGraph(
    Graph(([(0, 0)], [(0, 1)], [(1, 0)], [(0, 0), (1, 0)], [(0, 0), (1, 2)])), 8, "literal", ""
)
# Arguments of the drafters that cannot be made without any.
ARGUMENTS = {"calibrated": (SWAPS, 5), "draft_model": (3, make_model(7))}
# The drafters that leave the calls of the model as they are.
EXACT_DRAFTERS = [name for name, drafter in DRAFTERS.items() if drafter.exact]


def make_drafter(name):
    """A registered drafter, with the arguments that it cannot be made without."""
    return DRAFTERS[name](*ARGUMENTS.get(name, ()))


class Garbage(Chain):
    """Random tokens at random masked positions."""

    def draft(self, step):
        generator = torch.Generator().manual_seed(int(step.node0.sum()))
        noise = torch.rand(step.masked.shape, generator=generator)
        tokens = torch.randint(2, 30, step.masked.shape, generator=generator)
        return super().draft(replace(step, scores=Scores(tokens, noise)))
