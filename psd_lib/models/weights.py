"""Weights of a checkpoint folder into a stock network: names mapped, nothing missing, nothing left
over, nothing cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as log

from psd_lib.errors import UserError
from psd_lib.models.families import Family
from psd_lib.models.files import read_json

QKV = "model.layers.{i}.attention.query_key_value.weight"
PARTS = tuple(f"model.layers.{{i}}.self_attn.{part}_proj.weight" for part in "qkv")


@dataclass(frozen=True)
class Header:
    """What a safetensors file says of one tensor without reading it."""

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
    """Name, shape and dtype of every tensor of the folder. Raises UserError for no weights, a
    missing or a cut-off file.
    """
    found: dict[str, Header] = {}
    for name in _files(folder):
        try:
            with safe_open(folder / name, "pt") as file:
                for key in file.keys():
                    part = file.get_slice(key)
                    found[key] = Header(tuple(part.get_shape()), part.get_dtype())
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{folder}: {name} is truncated or damaged ({error}); download it again."
            ) from error
    return found


def _files(folder: Path) -> list[str]:
    """The weight files that the stock loader reads: the single one, else those that the index
    lists.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single.name]
    if not index.is_file():
        raise UserError(
            f"{folder} has no weights: model.safetensors (or its shards with their index) is"
            " missing."
        )
    listed = sorted(set(read_json(index).get("weight_map", {}).values()))
    absent = [name for name in listed if not (folder / name).is_file()]
    if absent or not listed:
        lost = f"lists {', '.join(absent)}, which is missing" if absent else "lists no weights"
        raise UserError(f"{folder}: {index.name} {lost}; download the checkpoint again.")
    return listed


def stock_config(folder: Path, raw: dict, family: Family, stored: dict[str, Header]):
    """The stock config of a checkpoint. A stored `lm_head` is never tied to the embedding, whatever
    the raw config says.

    Raises UserError where the headers contradict the config.
    """
    names = {stock_name(name, family) for name in stored}
    tied = (
        bool(raw.get("tie_word_embeddings") or raw.get("weight_tying"))
        and "lm_head.weight" not in names
    )
    config = getattr(transformers, family.config_class)(
        **family.config(raw), tie_word_embeddings=tied
    )
    _check_shapes(folder, stored, family, config)
    return config


def network(
    folder: Path, family: Family, config, dtype: torch.dtype, bar: bool = False
) -> torch.nn.Module:
    """The stock network of a checkpoint with its weights in `dtype`, on the host; `bar` shows
    progress.

    Raises UserError for tensors that are missing, unexpected, or do not fit the config, naming
    them.
    """
    architecture = getattr(transformers, family.architecture)
    if family.fused:
        source = {
            "pretrained_model_name_or_path": None,
            "state_dict": dict(_split(folder, family, config)),
        }
    else:
        mapping = {_pattern(own): target.replace("{i}", r"\1") for own, target in family.names}
        source = {"pretrained_model_name_or_path": folder, "key_mapping": mapping or None}
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
    """The stock class's name of a checkpoint's tensor.

    Example, LLaDA: `model.transformer.blocks.7.ff_proj.weight` ->
    `model.layers.7.mlp.gate_proj.weight`.
    """
    return _rename(name, family.names)


def released_name(name: str, family: Family) -> str:
    """The checkpoint's name of a stock class's tensor, the inverse of `stock_name`."""
    return _rename(name, [(target, own) for own, target in family.names])


def _rename(name: str, pairs) -> str:
    for source, target in pairs:
        match = re.match(_pattern(source), name)
        if match:
            return target.replace("{i}", match.group(1)) if match.groups() else target
    return name


def _pattern(name: str) -> str:
    return "^" + re.escape(name).replace(r"\{i\}", r"(\d+)") + "$"


def _split(folder: Path, family: Family, config) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor under its stock name, fused projections taken apart by rows: queries, keys,
    values.
    """
    rows = [
        heads * config.head_dim
        for heads in (config.num_attention_heads, *2 * [config.num_key_value_heads])
    ]
    for file_name in _files(folder):
        with safe_open(folder / file_name, "pt") as file:
            for key in file.keys():
                match = re.match(_pattern(QKV), key)
                if not match:
                    yield stock_name(key, family), file.get_tensor(key)
                    continue
                for name, part in zip(PARTS, file.get_tensor(key).split(rows)):
                    yield name.replace("{i}", match.group(1)), part


def _check_shapes(folder: Path, stored: dict[str, Header], family: Family, config) -> None:
    """What the stock loader would not say, or not clearly: vocabulary, surplus layers, fused rows."""
    by_name = {stock_name(name, family): (name, header) for name, header in stored.items()}
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        own, header = by_name.get(name, (name, None))
        if header and header.shape[0] != config.vocab_size:
            raise UserError(
                f"{folder}: config.json says a vocabulary of {config.vocab_size}, but {own} has"
                f" {header.shape[0]} rows; take config and weights of the same checkpoint."
            )
    layers = [
        (int(match[1]), name)
        for name, (own, _) in by_name.items()
        if (match := re.match(r"model\.layers\.(\d+)\.", name))
    ]
    surplus = [
        released_name(name, family) for layer, name in layers if layer >= config.num_hidden_layers
    ]
    _refuse(folder, "unexpected", surplus, family)
    if family.fused:
        rows = (config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim
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
    """Silence what transformers logs (a report of tensors that do not fit, which `network` says in
    one sentence) and, unless `bar`, its progress bar."""
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
