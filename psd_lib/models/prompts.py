"""Read prompts in every form that is unambiguous, and check that a model can decode them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, TypeGuard

import numpy as np
import torch

from psd_lib.errors import UserError
from psd_lib.models.chat import is_message
from psd_lib.models.model import Model

ACCEPTED = (
    "a prompt is text, token ids (a list, 1-D tensor or array of whole numbers), chat messages"
    " ({'role': ..., 'content': ...}), or what a tokenizer returns"
)


def encode(model: Model, prompts: Any, gen_length: int) -> list[list[int]]:
    """Return the token ids of one prompt or several.

    One prompt is a text, a flat list of ids, or a list of chat messages; several are a list of
    these, a 2-D tensor or array of ids, or what a tokenizer returns (`input_ids`, without the
    positions where `attention_mask` is 0). Chat messages go through the model's chat template.

    Raises:
        UserError: something is not a prompt, or a prompt is empty, contains the mask token or an
            unknown id, or does not fit the model's positions together with `gen_length`.
    """
    ids = [_ids(model, prompt, number) for number, prompt in enumerate(_separate(prompts))]
    if not ids:
        raise UserError("no prompts: give at least one.")
    for number, prompt in enumerate(ids):
        _check(model, prompt, number, gen_length)
    return ids


def _separate(prompts: Any) -> list[Any]:
    """Return the prompts one by one, not yet encoded."""
    if isinstance(prompts, str) or is_message(prompts):
        return [prompts]
    if isinstance(prompts, Mapping):
        return _rows(prompts)
    prompts = _plain(prompts, "the prompts")
    if isinstance(prompts, bytes) or not isinstance(prompts, Iterable):
        raise UserError(f"the prompts are {prompts!r}; {ACCEPTED}.")
    prompts = list(prompts)
    flat = [_is_id(part) or is_message(part) for part in prompts]
    return [prompts] if flat and all(flat) else prompts


def _rows(encoded: Mapping[str, Any]) -> list[list[int]]:
    """Return the rows of what a tokenizer returns, without padding.

    Raises:
        UserError: it is some other mapping, or ids and attention mask do not fit together.
    """
    if "input_ids" not in encoded:
        raise UserError(
            f"the prompts are a mapping with {', '.join(map(repr, encoded))}; {ACCEPTED}."
        )
    ids = _nested(encoded["input_ids"], "input_ids")
    if encoded.get("attention_mask") is None:
        return ids
    mask = _nested(encoded["attention_mask"], "attention_mask")
    if [len(row) for row in ids] != [len(row) for row in mask]:
        raise UserError("input_ids and attention_mask must have the same shape.")
    return [
        [token for token, real in zip(*pair, strict=True) if real]
        for pair in zip(ids, mask, strict=True)
    ]


def _nested(values: Any, name: str) -> list[list[int]]:
    """Return rows of whole numbers; a flat list is one row."""
    values = _plain(values, name)
    rows = [values] if isinstance(values, list) and all(map(_is_id, values)) else values
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise UserError(f"{name} must be token ids, one row per prompt, got {values!r}.")
    return rows


def _ids(model: Model, prompt: Any, number: int) -> list[int]:
    """Return the ids of one prompt."""
    if isinstance(prompt, str):
        return model.encode(prompt)
    if is_message(prompt):
        return model.encode(model.chat([prompt]))
    if isinstance(prompt, Mapping):
        rows = _rows(prompt)
        if len(rows) != 1:
            raise UserError(f"prompt {number} has {len(rows)} rows of token ids; give one each.")
        prompt = rows[0]
    if isinstance(prompt, torch.Tensor | np.ndarray) and prompt.shape[:-1] == (1,):
        prompt = prompt[0]
    prompt = _plain(prompt, f"prompt {number}")
    if isinstance(prompt, list | tuple | range):
        messages = [part for part in prompt if is_message(part)]
        if messages and len(messages) == len(prompt):
            return model.encode(model.chat(messages))
        if all(map(_is_id, prompt)):
            return [int(token) for token in prompt]
    shown = repr(prompt)
    raise UserError(
        f"prompt {number} is {shown[:60]}{'...' if len(shown) > 60 else ''}; {ACCEPTED}."
    )


def _plain(values: Any, name: str) -> Any:
    """Return a tensor or array as nested lists, and anything else as it is."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        whole = not (
            values.is_floating_point() or values.is_complex() or values.dtype == torch.bool
        )
    elif isinstance(values, np.ndarray):
        whole = values.dtype.kind in "iuOUS"
    else:
        return values
    if not whole or values.ndim not in (1, 2):
        raise UserError(
            f"{name} is an array of {values.dtype} with shape {list(values.shape)}; token ids are"
            " whole numbers in one or two dimensions."
        )
    return values.tolist()


def _is_id(value: object) -> TypeGuard[Integral]:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check(model: Model, prompt: list[int], number: int, gen_length: int) -> None:
    if not prompt:
        raise UserError(f"prompt {number} is empty: give at least one token.")
    if model.mask_id in prompt:
        token = model.tokenizer.convert_ids_to_tokens(model.mask_id)
        raise UserError(
            f"prompt {number} contains the mask token {token}, which stands for undecided"
            " positions; remove it."
        )
    if min(prompt) < 0 or max(prompt) >= model.denoiser.vocab_size:
        raise UserError(
            f"prompt {number} has token ids outside 0..{model.denoiser.vocab_size - 1}."
        )
    if len(prompt) + gen_length > model.max_positions:
        raise UserError(
            f"prompt {number} has {len(prompt)} tokens, which with gen_length {gen_length} exceeds"
            f" the model's {model.max_positions} positions; shorten it or lower gen_length."
        )
