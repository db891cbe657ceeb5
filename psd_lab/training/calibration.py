"""How often a model is right at a given confidence, measured on references of test items."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from psd_lab import tasks
from psd_lab.tasks import Example
from psd_lib.core.cache import ForwardRequest, NoCache
from psd_lib.core.canvas import Canvas
from psd_lib.core.scores import ban, score
from psd_lib.models import Model


def calibration(model: Model, names: Sequence[str], limit: int, seed: int = 0) -> dict[str, list]:
    """Return the best tokens' confidence and correctness at masked positions of test items.

    Every item gives one state as decoding meets it: the reference answer up to a block drawn at
    random, that block masked at a rate drawn from (0, 1), nothing decided behind it. A token is
    correct if it is the reference's; another wording may be as good, so this is a lower bound on
    being right. Positions behind the answer's end-of-text are left out.

    Args:
        names: Names of the tasks.
        limit: Items of each task.
    """
    rng = random.Random(seed)
    found: dict[str, list] = {"confidence": [], "correct": []}
    for name in names:
        task = tasks.get(name)
        for item in task.load("test", limit):
            confidence, correct = _state(model, item, task.gen_length, rng)
            found["confidence"] += confidence
            found["correct"] += correct
    return found


@torch.inference_mode()
def _state(
    model: Model, item: Example, gen_length: int, rng: random.Random
) -> tuple[list[float], list[bool]]:
    prompt = model.tokenizer.encode(item.prompt, add_special_tokens=False)
    row = prompt + model.tokenizer.encode(item.reference, add_special_tokens=False) + [model.eos_id]
    width = model.block_length
    first = len(prompt) // width * width if model.family.absolute_blocks else len(prompt)
    start = max(len(prompt), rng.randrange(first, len(row), width))
    left = max(len(row) - start, gen_length - (start - len(prompt)))
    canvas = Canvas(model.denoiser, [row[:start]], left, width, model.denoiser.device)
    tokens, masked = (value[0].cpu() for value in canvas.window())
    at = canvas.positions.gather(1, canvas.columns())[0].cpu()
    reference = torch.tensor(row + [model.eos_id] * (int(at.max()) + 1))[at]
    open_ = masked & (at < len(row))
    rate, sure = rng.random(), rng.choice(open_.nonzero()[:, 0].tolist())
    wanted = torch.tensor([rng.random() < rate or place == sure for place in range(width)]) & open_
    tokens = torch.where(open_ & ~wanted, reference, tokens)
    request = ForwardRequest(
        tokens[None, None].to(canvas.ids.device),
        wanted[None, None],
        torch.zeros(1, 1, dtype=torch.bool),
        canvas.start.cpu(),
    )
    logits = NoCache().open(model.denoiser, canvas).forward(request).logits
    scores = score(ban(logits, model.mask_id, model.denoiser.vocab_size))
    return scores.confidence.tolist(), (scores.token.cpu() == reference[wanted]).tolist()
