"""What a run on large checkpoints needs, checked before anything is decoded: device, weights, data,
disk.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from psd_lab import paths
from psd_lab.runs.checkpoints import checkpoint
from psd_lab.runs.config import ExperimentConfig
from psd_lab.runs.experiments import find_task, plan
from psd_lab.runs.tiers import Tier
from psd_lib.errors import UserError

GIB = 1 << 30
SMALL = 2 * GIB  # weights that a CPU decodes in reasonable time
ROW_BYTES = 20_000  # a row of a 512-token completion with its step statistics, generously


def check(tier: Tier, configs: Sequence[ExperimentConfig]) -> None:
    """Refuse a run that cannot succeed. Raises UserError with one sentence that names all that is
    missing.
    """
    missing = list(
        dict.fromkeys([*_models(tier, configs), *_tasks(tier, configs), *_disk(tier, configs)])
    )
    if missing:
        raise UserError(f"tier {tier.name} cannot run here: {'; '.join(missing)}.")
    # Options that a decoder does not have, and prompts that a model has no room for, show only when
    # both are there.
    for config in configs:
        for model in (checkpoint(name, tier.dtype) for name in config.models):
            for task in config.tasks:
                plan(config, model, task, tier)


def _models(tier: Tier, configs: Iterable[ExperimentConfig]) -> Iterator[str]:
    import torch

    found: dict[str, float | None] = {}
    absent = []
    for name in _all(configs, "models"):
        try:
            found[name] = weights(name)
        except UserError as error:
            absent.append(str(error).rstrip("."))
    large = [name for name, size in found.items() if size is None or size > SMALL]
    unknown = [
        name for name in _all(configs, "models") if name not in found and name.count("/") == 1
    ]
    if (large or unknown) and not torch.cuda.is_available():
        yield (
            f"there is no GPU (torch {torch.__version__} sees no CUDA device), and"
            f" {', '.join(large or unknown)} are too large for this CPU: use a machine with a GPU"
            " of at least 24 GB, or name small local checkpoints with --models"
        )
    yield from absent


def weights(name: str) -> float | None:
    """Bytes of a checkpoint's weights, on this disk or to be downloaded; None where that is not
    known beforehand.

    Raises UserError when the checkpoint is neither here nor to be had, or the disk has no room for
    it.
    """
    from huggingface_hub import constants

    from psd_lib.models import SUPPORTED
    from psd_lib.models.hub import locate, room

    here = any(paths.find(folder, name).is_dir() for folder in (Path(), paths.ROOT, paths.MODELS))
    if here or name.count("/") != 1 or constants.HF_HUB_OFFLINE:
        folder = locate(name)
        sizes = [path.stat().st_size for path in folder.glob("*.safetensors")]
        if not (folder / "config.json").is_file() or not sizes:
            raise UserError(
                f"{folder} is not a checkpoint (config.json and *.safetensors): get {name} again"
            )
        return sum(sizes)
    room(name)
    return SUPPORTED[name].disk * 1e9 if name in SUPPORTED else None


def _tasks(tier: Tier, configs: Iterable[ExperimentConfig]) -> Iterator[str]:
    for name, split in dict.fromkeys(
        (task, config.split) for config in configs for task in config.tasks
    ):
        try:
            find_task(name, tier).load(split, 1)
        except UserError as error:
            yield str(error).rstrip(".")


def _disk(tier: Tier, configs: Sequence[ExperimentConfig]) -> Iterator[str]:
    rows = sum(
        len(config.expand())
        * len(config.models)
        * len(config.tasks)
        * (tier.limit_of(config.name) or 1500)
        for config in configs
    )
    needed = rows * ROW_BYTES
    place = paths.RESULTS
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        yield f"{place} cannot be written: set PSD_HOME to a folder that can"
    elif (free := shutil.disk_usage(place).free) < needed:
        yield (
            f"rows may need {needed / GIB:.1f} GiB and {place} has {free / GIB:.1f} GiB free: make"
            " room or use --limit"
        )


def _all(configs: Iterable[ExperimentConfig], field: str) -> list[str]:
    return list(dict.fromkeys(name for config in configs for name in getattr(config, field)))
