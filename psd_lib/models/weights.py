"""Load the weights of a checkpoint folder into a stock network.

Names are mapped, and nothing may be missing, left over or cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import logging as log

from psd_lib.errors import UserError
from psd_lib.models.families import Family
from psd_lib.models.files import read_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
QKV = "model.layers.{i}.attention.query_key_value.weight"
PARTS = tuple(f"model.layers.{{i}}.self_attn.{part}_proj.weight" for part in "qkv")


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of one tensor, without reading it."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for length in self.shape:
            count *= length
        return count


def headers(folder: Path) -> dict[str, Header]:
    """Return name, shape and dtype of every tensor of the folder.

    Raises:
        UserError: there are no weights, or a file is missing or cut off.
    """
    found: dict[str, Header] = {}
    for name in _files(folder):
        try:
            with safe_open(folder / name, "pt") as file:
                for key in sorted(file.keys()):
                    part = file.get_slice(key)
                    found[key] = Header(tuple(part.get_shape()), part.get_dtype())
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{folder}: {name} is truncated or damaged ({error}); download it again."
            ) from error
    return found


def _files(folder: Path) -> list[str]:
    """Return the weight files that the stock loader reads: the single one, else the index's."""
    if (folder / SINGLE).is_file():
        return [SINGLE]
    if not (folder / INDEX).is_file():
        raise UserError(
            f"{folder} has no weights: {SINGLE} (or its shards with their index) is missing."
        )
    listed = read_json(folder / INDEX).get("weight_map", {})
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise UserError(
            f"{folder}: weight_map of {INDEX} must map tensor names to file names; download the"
            " checkpoint again."
        )
    names = sorted(set(listed.values()))
    absent = [name for name in names if not (folder / name).is_file()]
    if absent or not names:
        lost = f"lists {', '.join(absent)}, which is missing" if absent else "lists no weights"
        raise UserError(f"{folder}: {INDEX} {lost}; download the checkpoint again.")
    return names


def stock_config(
    folder: Path, raw: dict[str, Any], family: Family, stored: dict[str, Header]
) -> PretrainedConfig:
    """Return the stock config of a checkpoint.

    A stored `lm_head` is never tied to the embedding, whatever the raw config says.

    Raises:
        UserError: the headers contradict the config.
    """
    names = {stock_name(name, family) for name in stored}
    tied = (
        bool(raw.get("tie_word_embeddings") or raw.get("weight_tying"))
        and "lm_head.weight" not in names
    )
    arguments = family.config(raw)
    check_shapes(folder, stored, family, arguments)
    try:
        config = getattr(transformers, family.config_class)(**arguments, tie_word_embeddings=tied)
        with torch.device("meta"):
            described = getattr(transformers, family.architecture)(config)
        parameters = sum(weight.numel() for weight in described.parameters())
    except Exception as error:  # sizes that do not go together fail anywhere inside the stock class
        raise UserError(
            f"{folder}: no {family.architecture} can be made from config.json"
            f" ({str(error).strip().splitlines()[0]}); restore it from the checkpoint's source."
        ) from error
    held = sum(header.size for header in stored.values())
    if parameters > 2 * held:
        raise UserError(
            f"{folder}: config.json describes {parameters:,} parameters, but the weights hold"
            f" {held:,}; take config and weights of the same checkpoint."
        )
    return config


def network(
    folder: Path, family: Family, config: PretrainedConfig, dtype: torch.dtype, bar: bool = False
) -> PreTrainedModel:
    """Return the stock network of a checkpoint with its weights in `dtype`, on the host.

    `bar` shows progress.

    Raises:
        UserError: tensors are missing, unexpected, or do not fit the config.
    """
    architecture = getattr(transformers, family.architecture)
    index = folder / INDEX
    source: dict[str, Any] = {"pretrained_model_name_or_path": folder}
    if family.fused or (index.is_file() and "metadata" not in read_json(index)):
        # what the stock loader cannot read from the files itself
        source = {
            "pretrained_model_name_or_path": None,
            "state_dict": dict(_tensors(folder, family, config)),
        }
    elif family.names:
        source["key_mapping"] = {
            _pattern(own): target.replace("{i}", r"\1") for own, target in family.names
        }
    if dtype == torch.float64 and hasattr(config, "num_experts_per_tok"):
        # the stock classes' fast kernel for experts does not take float64
        source["experts_implementation"] = "eager"
    with quiet(bar):
        loaded, report = architecture.from_pretrained(
            **source,
            config=config,
            dtype=dtype,
            attn_implementation="sdpa",
            output_loading_info=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,
        )
    for problem, word in (
        ("missing_keys", "missing"),
        ("unexpected_keys", "unexpected"),
        ("mismatched_keys", "wrong-shape"),
    ):
        keys = [key[0] if isinstance(key, tuple) else key for key in report[problem]]
        _refuse(folder, word, [released_name(key, family) for key in keys], family)
    return loaded


def stock_name(name: str, family: Family) -> str:
    """Return the stock class's name of a checkpoint's tensor.

    Example, LLaDA: `model.transformer.blocks.7.ff_proj.weight` ->
    `model.layers.7.mlp.gate_proj.weight`.
    """
    return _rename(name, family.names)


def released_name(name: str, family: Family) -> str:
    """Return the checkpoint's name of a stock class's tensor, the inverse of `stock_name`."""
    return _rename(name, [(target, own) for own, target in family.names])


def _rename(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    for source, target in pairs:
        match = re.match(_pattern(source), name)
        if match:
            return target.replace("{i}", match.group(1)) if match.groups() else target
    return name


def _pattern(name: str) -> str:
    return "^" + re.escape(name).replace(r"\{i\}", r"(\d+)") + "$"


def _tensors(
    folder: Path, family: Family, config: PretrainedConfig
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every tensor under its stock name; fused projections are split into q, k and v."""
    rows = _fused_rows(config.to_dict()) if family.fused else []
    for file_name in _files(folder):
        with safe_open(folder / file_name, "pt") as file:
            for key in sorted(file.keys()):
                match = re.match(_pattern(QKV), key) if family.fused else None
                if not match:
                    yield stock_name(key, family), file.get_tensor(key)
                    continue
                for name, part in zip(PARTS, file.get_tensor(key).split(rows), strict=True):
                    yield name.replace("{i}", match.group(1)), part


def _fused_rows(arguments: dict[str, Any]) -> list[int]:
    """Return the rows of the q, k and v projections in a fused one."""
    kinds = ("attention", "key_value", "key_value")
    return [arguments[f"num_{kind}_heads"] * arguments["head_dim"] for kind in kinds]


def check_shapes(
    folder: Path, stored: dict[str, Header], family: Family, arguments: dict[str, Any]
) -> None:
    """Check what the stock loader would not say, or not clearly.

    That is the embedding's shape, the number of layers, and the rows of fused projections.

    Raises:
        UserError: the headers contradict the stock config's `arguments`.
    """
    by_name = {stock_name(name, family): (name, header) for name, header in stored.items()}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        own, header = by_name.get(name, (name, None))
        if header and header.shape[:1] != (arguments["vocab_size"],):
            raise UserError(
                f"{folder}: config.json says a vocabulary of {arguments['vocab_size']}, but {own}"
                f" has {header.shape[0]} rows; take config and weights of the same checkpoint."
            )
    matches = [(re.match(r"model\.layers\.(\d+)\.", name), name) for name in by_name]
    layers = [(int(match[1]), name) for match, name in matches if match]
    described = arguments["num_hidden_layers"]
    surplus = [released_name(name, family) for layer, name in layers if layer >= described]
    _refuse(folder, "unexpected", surplus, family)
    there = 1 + max((layer for layer, _ in layers), default=-1)
    if described > there:
        raise UserError(
            f"{folder}: config.json says {described} layers, but the weights have {there}; take"
            " config and weights of the same checkpoint."
        )
    if family.fused:
        rows = sum(_fused_rows(arguments))
        wrong = [
            name
            for name, header in stored.items()
            if re.match(_pattern(QKV), name) and header.shape[0] != rows
        ]
        _refuse(folder, "wrong-shape", wrong, family)


def _refuse(folder: Path, word: str, names: list[str], family: Family) -> None:
    if names:
        names = sorted(names)
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise UserError(
            f"{folder}: {word} tensors {shown}; they do not fit the config of a {family.model_type}"
            " checkpoint."
        )


@contextmanager
def quiet(bar: bool) -> Iterator[None]:
    """Silence what transformers logs and, unless `bar`, its progress bar.

    What it logs is a report of tensors that do not fit, which `network` says in one sentence.
    """
    level, shown = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    if not bar:
        log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if shown:
            log.enable_progress_bar()
