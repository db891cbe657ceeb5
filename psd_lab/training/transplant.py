"""Start from another embedded model, adapted to a network that is smaller or lacks norms."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

import psd_lib
from psd_lab import tasks
from psd_lib.errors import UserError
from psd_lib.models import Model

SAMPLE = 64


def transplant(start: str, target: PreTrainedModel, names: Sequence[str]) -> None:
    """Copy the weights of embedded model `start` into `target`, in place.

    Qwen3 normalises every query and key head to unit mean square before scaling it; Llama and Qwen2
    do not. For these, the norm is replaced by its average: the rows of the projections are divided
    by the head's mean root mean square over `SAMPLE` training examples of each of the tasks `names`
    and multiplied by the norm's scale. That is an approximation, which the training that follows
    repairs. Biases that `start` lacks begin at 0. A target with fewer layers or narrower
    feed-forward layers gets a part of the weights (see `pruned`).

    Raises:
        UserError: Other sizes differ.
    """
    source = psd_lib.load(start, device="cpu")
    weights = {
        name: weight.float() for name, weight in source.denoiser.network.state_dict().items()
    }
    wanted = target.state_dict()
    if any(map(head_norm, weights)) and not any(map(head_norm, wanted)):
        sizes = head_sizes(source, names)
        for name in list(filter(head_norm, weights)):
            projection = name.replace("_norm.weight", "_proj.weight")
            scale = weights.pop(name)[None] / sizes[projection.removesuffix(".weight")][:, None]
            weights[projection] = weights[projection] * scale.reshape(-1, 1)
    weights = pruned(weights, target.config.num_hidden_layers, target.config.intermediate_size)
    for name in wanted.keys() - weights.keys():
        if not name.endswith(".bias"):
            raise UserError(
                f"model {start!r} has no weights {name}; start from a model of the same shape."
            )
        weights[name] = torch.zeros_like(wanted[name])
    try:
        target.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"model {start!r} has other sizes than this recipe; start from a model of the same"
            " shape."
        ) from error


def head_norm(name: str) -> bool:
    """Say whether a weight is the scale of the queries' or keys' norm."""
    return name.endswith(("q_norm.weight", "k_norm.weight"))


def pruned(weights: dict[str, Tensor], layers: int, ffn: int) -> dict[str, Tensor]:
    """Return the weights of a network with fewer layers and narrower feed-forward layers.

    Layers are kept at even distances, the first and the last among them (of 6, 3: the first, third
    and last); of the hidden units those with the largest product of the norms of their gate, up and
    down weights, in their old order; of equal ones the first. Weights that are small enough already
    come back unchanged.
    """
    there = sorted(
        {int(name.split(".")[2]) for name in weights if name.startswith("model.layers.")}
    )
    kept = (
        [round(x) for x in torch.linspace(0, len(there) - 1, layers).tolist()]
        if layers < len(there)
        else there
    )
    parts = {f"model.layers.{old}.": f"model.layers.{new}." for new, old in enumerate(kept)}
    result = {
        name: weight for name, weight in weights.items() if not name.startswith("model.layers.")
    }
    for old, new in parts.items():
        result |= {
            new + name.removeprefix(old): weight
            for name, weight in weights.items()
            if name.startswith(old)
        }
        gate, up, down = (f"{new}mlp.{part}_proj.weight" for part in ("gate", "up", "down"))
        if ffn < len(result[gate]):
            strength = result[gate].norm(dim=1) * result[up].norm(dim=1) * result[down].norm(dim=0)
            units = strength.argsort(descending=True, stable=True)[:ffn].sort().values
            result |= {
                gate: result[gate][units],
                up: result[up][units],
                down: result[down][:, units],
            }
    return result


@torch.inference_mode()
def head_sizes(model: Model, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the mean root mean square [H] of every head's queries and keys before their norm.

    The keys are the names of the projections.
    """
    network = model.denoiser.network
    drawn = [
        example for name in names for example in itertools.islice(tasks.get(name).stream(0), SAMPLE)
    ]
    with recorded(network) as sizes:
        for example in drawn:
            ids = torch.tensor([model.tokenizer.encode(example.prompt + example.reference)])
            network.model(input_ids=ids, use_cache=False)
    return {name: torch.stack(values).mean(0) for name, values in sizes.items()}


@contextmanager
def recorded(network: PreTrainedModel) -> Iterator[dict[str, list[Tensor]]]:
    """Record the size of queries and keys of every call while the context is open."""
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
