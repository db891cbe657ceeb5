"""An independent decoder to compare the loop with: one sequence, one state, one forward at a time,
plain Python.
"""

from __future__ import annotations

import torch

from psd_lib import DecodeConfig
from psd_lib.core.cache import visibility
from psd_lib.core.scores import ban, position_gumbel, score
from support.configs import GEN
from support.models import MASK


def scores_of(
    model,
    ids: list[int],
    start: int,
    width: int,
    block_of: list[int],
    config: DecodeConfig,
    index: int,
):
    """Scores of the window [start, start + width) of one state, from one forward over exactly this
    state.
    """
    row = torch.tensor([ids])
    positions, blocks = torch.arange(len(ids))[None], torch.tensor([block_of])
    column = torch.arange(start, min(start + width, len(ids)))
    visible = visibility(positions, blocks, model.denoiser.sees_future)
    logits = model.denoiser.logits(row, positions, visible, torch.zeros_like(column), column)
    noise = None
    if config.temperature:
        noise = position_gumbel(torch.tensor(index + (config.seed << 20)), column, logits.shape[-1])
    detail = config.policy.needs.detail
    return score(
        ban(logits, model.mask_id, model.denoiser.vocab_size), noise, config.temperature, detail
    )


def reference_states(
    model, prompt: list[int], config: DecodeConfig, index: int = 0
) -> list[list[int]]:
    """Every state of `config.policy` decoded step by step without drafts, from after the first step
    to the end.
    """
    width = config.block_length or model.block_length
    ids = prompt + [model.mask_id] * config.gen_length
    absolute = model.family.absolute_blocks
    origin = 0 if absolute else len(prompt)
    block_of = [(position - origin) // width for position in range(len(ids))]
    start = len(prompt) // width * width if absolute else len(prompt)
    states = []

    def whole_block(value):
        return torch.nn.functional.pad(value, (0, width - len(value)))[None]

    while start < len(ids):
        window = range(start, min(start + width, len(ids)))
        while any(ids[i] == model.mask_id for i in window):
            scores = scores_of(model, ids, start, width, block_of, config, index)
            # policies see whole blocks; what lies behind the last position is decided
            tail = width - len(window)
            masked = torch.tensor([[ids[i] == model.mask_id for i in window] + [False] * tail])
            commit = config.policy.select(scores.map(whole_block), masked)[0]
            ids = list(ids)
            for offset, i in enumerate(window):
                if commit[offset]:
                    ids[i] = int(scores.token[offset])
            states.append(ids)
            generated = ids[len(prompt) : window[-1] + 1]
            if (
                model.eos_id in generated
                and model.mask_id not in generated[: generated.index(model.eos_id)]
            ):
                return states
        start += width
    return states


def traced_states(model, prompt: list[int], sequence) -> list[list[int]]:
    """The states of a decoded sequence, rebuilt from its trace."""
    trace = sequence.trace
    return [
        prompt
        + [
            int(token) if 0 <= at <= step else model.mask_id
            for token, at in zip(trace.tokens, trace.step, strict=True)
        ]
        for step in range(int(trace.step.max()) + 1)
    ]


def decode_one_by_one(model, prompt, width, round_of):
    """Decode with `round_of(scores_at, window state) -> window state`.

    One forward for every state: no batch, nothing inherited.
    """
    absolute = model.family.absolute_blocks
    ids, origin = prompt + [MASK] * GEN, 0 if absolute else len(prompt)
    block_of = [(position - origin) // width for position in range(len(ids))]
    begin = len(prompt) // width * width if absolute else len(prompt)
    settings = DecodeConfig.make("greedy", gen_length=GEN)
    while begin < len(ids):
        window = range(begin, min(begin + width, len(ids)))

        def scores_at(state, who=model, begin=begin, end=window[-1] + 1):
            canvas = ids[:begin] + state + ids[end:]
            return scores_of(who, canvas, begin, width, block_of, settings, 0)

        while any(ids[i] == MASK for i in window):
            ids[begin : window[-1] + 1] = round_of(scores_at, [ids[i] for i in window])
            generated = ids[len(prompt) : window[-1] + 1]
            if model.eos_id in generated and MASK not in generated[: generated.index(model.eos_id)]:
                return generated[: generated.index(model.eos_id)]
        begin += width
    return ids[len(prompt) :]


def masks(state):
    return [i for i, token in enumerate(state) if token == MASK]


def filled(state, pairs):
    return [pairs.get(i, token) for i, token in enumerate(state)]
