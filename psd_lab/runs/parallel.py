"""One process per core where that is faster: small models and notebooks on a CPU leave a second
thread idle.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from threading import Thread

from psd_lab import paths
from psd_lab.progress import progress, reported
from psd_lab.runs.config import ExperimentConfig
from psd_lab.runs.experiments import collect
from psd_lab.runs.tiers import Tier
from psd_lib.errors import UserError


def decode(tier: Tier, configs: Sequence[ExperimentConfig], workers: int | None = None) -> None:
    """Decode everything that `configs` lack at a tier; rows land where `collect` looks for them.

    `workers` None: as many as `default_workers` says. A model on a task is one piece of work,
    whatever the number of experiments that want it, so no two processes do the same. Raises what
    `spread` raises; rows so far are kept.
    """
    pieces = list(
        dict.fromkeys(
            (task, model) for config in configs for task in config.tasks for model in config.models
        )
    )
    workers = min(default_workers(configs) if workers is None else workers, len(pieces))
    if workers <= 1:
        for config in configs:
            collect(config, tier)
        return
    spread(decode_piece, [(tier, configs, *piece) for piece in pieces], workers, "models x tasks")


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
        ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin) as pool,
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


def decode_piece(tier: Tier, configs: Sequence[ExperimentConfig], task: str, model: str) -> None:
    """Decode one model on one task in every experiment that wants it."""
    narrow = tier.narrow(models=(model,), tasks=(task,))
    for config in configs:
        if task in config.tasks and model in config.models:
            collect(config, narrow)


def _begin() -> None:
    # Also for the kernels of notebooks. A library that is loaded by now has read them, and must be
    # told.
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End a worker whose parent was killed, which would go on for the rest of its piece."""
    parent_process().join()
    os._exit(1)
