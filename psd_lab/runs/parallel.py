"""One process per core where that is faster: small models and notebooks on a CPU leave a second
thread idle.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context

from psd_lab import paths
from psd_lab.progress import progress, reported
from psd_lab.runs.config import ExperimentConfig
from psd_lab.runs.engines import Settings, begin, engine
from psd_lab.runs.plans import RunPlan
from psd_lab.runs.shards import Worker
from psd_lab.runs.tiers import Tier
from psd_lib.errors import UserError


def decode(tier: Tier, configs: Sequence[ExperimentConfig], workers: int | None = None) -> None:
    """Decode and score everything that `configs` lack at a tier, in `workers` processes.

    `workers` None: as many as `default_workers` says, or one per GPU where there are several.
    Raises what the engine raises; rows so far are kept.
    """
    plan = RunPlan.of(tier, configs)
    with Worker() as worker:
        left = tuple(shard for shard in plan.shards if worker.left(shard.work()))
    if not left:
        return
    gpus = device_count() if workers is None else 0
    count = min(default_workers(configs) if workers is None else workers, len(left))
    chosen = engine(count, gpus if gpus > 1 else 0)
    shards = chosen.run(RunPlan(left), Settings())
    for _ in progress(shards, len(left), label="shards"):
        pass


def device_count() -> int:
    """Return the number of GPUs here."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def spread(function: Callable[..., None], calls: Sequence[tuple], workers: int, label: str) -> None:
    """Call `function`, one of a module's own, with each tuple of arguments, in `workers`
    single-threaded processes.

    With one worker, in this process. Raises the first error of any call, and a UserError when a
    worker is killed.
    """
    if workers <= 1:
        for call in progress(calls, label=label):
            function(*call)
        return
    with (
        reported(),
        ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=begin) as pool,
    ):
        try:
            work = [pool.submit(function, *call) for call in calls]
            for done in progress(as_completed(work), len(work), label=label):
                done.result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed (out of memory?): rows so far are kept; run again to"
                " go on."
            ) from None
        except BaseException:
            for child in active_children():
                child.terminate()
            raise


def default_workers(configs: Sequence[ExperimentConfig]) -> int:
    """Return one per core for embedded models on a CPU; 1 where a GPU, or memory for large weights,
    would be shared.
    """
    import torch

    embedded = all(
        paths.find(paths.MODELS, f"{model}/config.json").is_file()
        for config in configs
        for model in config.models
    )
    return (os.cpu_count() or 1) if embedded and not torch.cuda.is_available() else 1
