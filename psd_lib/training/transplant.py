"""Starting from another embedded model: its weights, adapted to a network that may lack its query and key norms."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

import psd_lib
from psd_lib import tasks
from psd_lib.errors import UserError
from psd_lib.models import Model

SAMPLE = 64


def transplant(start: str, target: PreTrainedModel, names: Sequence[str]) -> None:
    """Copies the weights of embedded model `start` into `target`, in place.

    Qwen3 normalises every query and key head to unit mean square before scaling it; Llama and Qwen2 do not. For these,
    the norm is replaced by its average: the rows of the projections are divided by the head's mean root mean square
    over `SAMPLE` training examples of each of the tasks `names` and multiplied by the norm's scale. That is an approximation, which the training that
    follows repairs. Biases that `start` lacks begin at 0.
    Raises UserError when the sizes differ.
    """
    source = psd_lib.load(start, device="cpu")
    weights = {name: weight.float() for name, weight in source.denoiser.network.state_dict().items()}
    wanted = target.state_dict()
    if any("_norm" in name and "self_attn" in name for name in weights.keys() - wanted.keys()):
        sizes = head_sizes(source, names)
        for name in [name for name in weights if name.endswith(("q_norm.weight", "k_norm.weight"))]:
            projection = name.replace("_norm.weight", "_proj.weight")
            scale = weights.pop(name)[None] / sizes[projection.removesuffix(".weight")][:, None]
            weights[projection] = weights[projection] * scale.reshape(-1, 1)
    for name in wanted.keys() - weights.keys():
        if not name.endswith(".bias"):
            raise UserError(f"model {start!r} has no weights {name}; start from a model of the same shape.")
        weights[name] = torch.zeros_like(wanted[name])
    try:
        target.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(f"model {start!r} has other sizes than this recipe; start from a model of the same shape.") from error


@torch.inference_mode()
def head_sizes(model: Model, names: Sequence[str]) -> dict[str, Tensor]:
    """Mean root mean square [H] of every head's queries and keys before their norm, by the projection's name."""
    network = model.denoiser.network
    drawn = [example for name in names for example in itertools.islice(tasks.get(name).stream(0), SAMPLE)]
    with recorded(network) as sizes:
        for example in drawn:
            ids = torch.tensor([model.tokenizer.encode(example.prompt + example.reference)])
            network.model(input_ids=ids, use_cache=False)
    return {name: torch.stack(values).mean(0) for name, values in sizes.items()}


@contextmanager
def recorded(network: PreTrainedModel) -> Iterator[dict[str, list[Tensor]]]:
    """Notes the size of queries and keys of every call while the context is open."""
    sizes: dict[str, list[Tensor]] = {}
    hooks = []
    for name, module in network.named_modules():
        if name.endswith(("q_proj", "k_proj")):

            def note(_, __, output: Tensor, name: str = name) -> None:
                heads = output.unflatten(-1, (-1, network.config.head_dim))
                sizes.setdefault(name, []).append(heads.square().mean(-1).sqrt().mean((0, 1)))

            hooks.append(module.register_forward_hook(note))
    try:
        yield sizes
    finally:
        for hook in hooks:
            hook.remove()
