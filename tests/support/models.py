"""Tiny random models and prompts that the tests of the core, the methods and the lab decode."""

import random
from dataclasses import replace

from psd_lib.testing import tiny_model

MASK = 1  # the mask token of the tiny models


class EagerEos:
    """A denoiser whose end-of-sequence logit is raised by `bonus`: sequences end inside blocks."""

    def __init__(self, denoiser, bonus):
        self.denoiser, self.bonus = denoiser, bonus

    def __getattr__(self, name):
        return getattr(self.denoiser, name)

    def logits(self, *request, **stored):
        logits = self.denoiser.logits(*request, **stored).clone()
        logits[:, self.denoiser.eos_ids[0]] += self.bonus
        return logits


def make_model(seed, sees_future=False, eos_bonus=0.0):
    """A random float32 model with blocks of eight tokens."""
    model = tiny_model(seed, block_length=8, sees_future=sees_future)
    return replace(model, denoiser=EagerEos(model.denoiser, eos_bonus))


def nan_model(seed=0):
    """A random model whose logits are NaN, as those of an overflow in float16 are."""
    model = tiny_model(seed)
    model.denoiser.network.lm_head.weight.data[5] = float("nan")
    return model


def make_prompts(seed, count=6):
    """Random prompts of 1 to 19 tokens, none of them the mask or the end of the sequence."""
    rng = random.Random(seed)
    return [[rng.randrange(2, 30) for _ in range(rng.randrange(1, 20))] for _ in range(count)]


def tiny_judge(seed):
    """A random autoregressive model: shifted predictions in blocks of one token."""
    judge = tiny_model(seed, block_length=1)
    judge.denoiser.shift = True
    return replace(judge, family=replace(judge.family, shift=True))


# What a decoder that needs a second model gets in the tests, by the name of its option.
SECOND_MODELS = {"judge": lambda: tiny_judge(1), "draft": lambda: tiny_model(1)}
