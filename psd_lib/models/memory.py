"""Check that a checkpoint fits into memory before anything large is read or downloaded."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import PretrainedConfig

from psd_lib.errors import UserError

SPARE = (
    1.1  # weights and a tenth for activations and logits; keys and values come on top, per token
)
WORTH_SAYING = 1e9


def check(name: str, parameters: float, dtype: torch.dtype, device: torch.device) -> None:
    """Check that a checkpoint's weights fit.

    Weights pass through the host's memory on their way to a GPU, so both must hold them.

    Raises:
        UserError: the device or the host has too little memory free.
    """
    weights = parameters * dtype.itemsize
    for place in dict.fromkeys((device.type, "cpu")):
        free = free_on(device if place == device.type else torch.device(place))
        if free is not None and weights * SPARE > free:
            where = "main memory" if place == "cpu" else f"device {device}"
            raise UserError(
                f"{name} needs {weights * SPARE / 1e9:.1f} GB ({_weights(weights, dtype)} and a"
                f" tenth for activations), but {where} has {free / 1e9:.1f} GB free; free some, or"
                " choose a smaller model or dtype."
            )


def announce(
    name: str, parameters: float, dtype: torch.dtype, device: torch.device, cached: int
) -> None:
    """Print to stderr how much memory a checkpoint of 1 GB or more takes.

    `cached` is the size of keys and values in bytes per token.
    """
    weights = parameters * dtype.itemsize
    if weights >= WORTH_SAYING:
        print(
            f"{name}: {_weights(weights, dtype)} on {device}, {cached / 1024:.0f} KiB per cached"
            " token",
            file=sys.stderr,
        )


def _weights(size: float, dtype: torch.dtype) -> str:
    return f"{size / 1e9:.1f} GB of weights in {str(dtype).removeprefix('torch.')}"


def free_on(device: torch.device) -> int | None:
    """Return the free bytes of a device, or what a process may still take of the host.

    None where that cannot be known.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return None
    found = [value for value in (_available(), _group()) if value is not None]
    return min(found, default=None)


def per_token(config: PretrainedConfig, dtype: torch.dtype) -> int:
    """Return the bytes of keys and values per token of a stock config."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * config.num_key_value_heads * head * dtype.itemsize


def _available(source: Path = Path("/proc/meminfo")) -> int | None:
    if not source.is_file():
        return None
    lines = dict(
        line.split(":", 1)
        for line in source.read_text(encoding="utf-8").splitlines()
        if ":" in line
    )
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None


def _group(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return what is left of a container's limit; None where there is no limit.

    Pages of read files count as free, since they are given back.
    """
    limit, used, stat = (
        path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        for path in (folder / f"memory.{name}" for name in ("max", "current", "stat"))
    )
    if not (limit and used) or limit == "max":
        return None
    values = dict(line.split() for line in stat.splitlines())
    return int(limit) - int(used) + int(values.get("inactive_file", 0))
