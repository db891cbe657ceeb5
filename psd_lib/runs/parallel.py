"""Decoding what several experiments lack with one process per core: small models on a CPU leave a second thread idle."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from threading import Thread

from psd_lib import paths
from psd_lib.errors import UserError
from psd_lib.progress import progress, reported
from psd_lib.runs.config import ExperimentConfig
from psd_lib.runs.experiments import collect
from psd_lib.runs.tiers import Tier


def decode(tier: Tier, configs: Sequence[ExperimentConfig], workers: int | None = None) -> None:
    """Decode everything that `configs` lack at a tier; rows land where `collect` looks for them.

    `workers` None: one per core where all models are embedded and there is no GPU, else this process alone. A model on a
    task is one piece of work, whatever the number of experiments that want it, so no two processes do the same.
    Raises the first UserError of any worker, and one when a worker is killed; rows so far are kept.
    """
    pieces = list(dict.fromkeys((task, model) for config in configs for task in config.tasks for model in config.models))
    workers = min(default_workers(configs) if workers is None else workers, len(pieces))
    if workers <= 1:
        for config in configs:
            collect(config, tier)
        return
    context = get_context("spawn")
    with reported(), ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as pool:
        try:
            work = [pool.submit(decode_piece, tier, configs, *piece) for piece in pieces]
            for done in progress(as_completed(work), len(work), label="models x tasks"):
                done.result()
        except BrokenProcessPool:
            raise UserError("a decoding process was killed (out of memory?): rows so far are kept; run again to go on.") from None
        except BaseException:
            for child in active_children():
                child.terminate()
            raise


def default_workers(configs: Sequence[ExperimentConfig]) -> int:
    """One per core for embedded models on a CPU; 1 where a GPU, or memory for large weights, would be shared."""
    import torch

    embedded = all((paths.MODELS / model / "config.json").is_file() for config in configs for model in config.models)
    return (os.cpu_count() or 1) if embedded and not torch.cuda.is_available() else 1


def decode_piece(tier: Tier, configs: Sequence[ExperimentConfig], task: str, model: str) -> None:
    """One model on one task in every experiment that wants it."""
    narrow = tier.narrow(models=(model,), tasks=(task,))
    for config in configs:
        if task in config.tasks and model in config.models:
            collect(config, narrow)


def _begin() -> None:
    import torch

    torch.set_num_threads(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would go on for the rest of its piece."""
    parent_process().join()
    os._exit(1)
