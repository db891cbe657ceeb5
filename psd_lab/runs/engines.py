"""Engines: who runs the shards of a plan. They move shards, never results: rows go to the store."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Protocol

from psd_lab.interrupts import sigterm_as_interrupt
from psd_lab.progress import reported
from psd_lab.runs.plans import RunPlan, Shard
from psd_lab.runs.shards import DEATHS, Worker
from psd_lib.errors import UserError

RESTARTS = 4 * DEATHS  # of the process of one shard: so many examples may kill theirs
PATIENCE = 60  # seconds that a worker has to finish the call of the model that it is at


@dataclass(frozen=True)
class Settings:
    """What every worker of a run is given, see `Worker`."""

    results: Path | None = None
    score: bool = True
    retry: bool = False

    def worker(self) -> Worker:
        """Return a worker of this process."""
        return Worker(self.results, self.score, self.retry)


class Engine(Protocol):
    """Runs shards in any order and yields each one as nothing of it is left."""

    def run(self, plan: RunPlan, settings: Settings) -> Iterator[Shard]:
        """Run the shards of a plan.

        Raises:
            UserError: A shard cannot be run.
        """
        ...


class InProcess:
    """One shard after the other, in this process."""

    def run(self, plan: RunPlan, settings: Settings) -> Iterator[Shard]:
        """Run first what no other run is at, then what is left of that."""
        with settings.worker() as worker:
            busy = []
            for shard in plan.shards:
                if worker.run(shard.work(), wait=False):
                    yield shard
                else:
                    busy.append(shard)
            for shard in busy:
                worker.run(shard.work())
                yield shard


@dataclass(frozen=True)
class Processes:
    """Shards go to whichever worker process is free; one that dies is replaced.

    Args:
        count: How many processes.
        gpus: Devices by number, as many as there are processes, each of which sees its own alone.
            None for the CPU, with one thread per process.
    """

    count: int
    gpus: tuple[int, ...] | None = None

    def run(self, plan: RunPlan, settings: Settings) -> Iterator[Shard]:
        """Hand out the shards and yield them as they come back.

        A shard whose process dies is tried again, with the examples that were being decoded one by
        one, so that an example which kills its process is found and left alone.
        """
        waiting, tries = deque(plan.shards), Counter()
        devices = self.gpus or [None] * self.count
        with reported():
            pool = [_Process(settings, one) for one in devices[: len(waiting)]]
            try:
                while waiting or any(one.shard for one in pool):
                    for one in pool:
                        if one.shard is None and waiting:
                            one.give(waiting.popleft())
                    ready = connection.wait([one.pipe for one in pool if one.shard])
                    for one in [one for one in pool if one.pipe in ready]:
                        shard = one.shard
                        if one.take():
                            yield shard
                            continue
                        tries[shard.id] += 1
                        if tries[shard.id] > RESTARTS:
                            raise UserError(_killed(shard))
                        waiting.appendleft(shard)
                        one.start()
            finally:
                for one in pool:
                    one.end()


def _killed(shard: Shard) -> str:
    return (
        f"the process that decodes {shard.label} on {shard.task} with {shard.model} is killed again"
        " and again (out of memory?): rows so far are kept; run again to go on."
    )


class _Process:
    """A worker process and the shard that it is at."""

    def __init__(self, settings: Settings, device: int | None):
        self.settings, self.device = settings, device
        self.shard: Shard | None = None
        self.start()

    def start(self) -> None:
        """Start it, or another one in its place."""
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.settings, self.device))
        self.process.start()
        theirs.close()

    def give(self, shard: Shard) -> None:
        """Let it run a shard."""
        self.shard = shard
        with suppress(OSError):  # it died: `take` finds out
            self.pipe.send(shard)

    def take(self) -> bool:
        """Return whether its shard is done; it is not where the process died.

        Raises:
            Exception: What the shard raised.
        """
        self.shard = None
        try:
            fault = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return False
        if fault is not None:
            raise fault
        return True

    def end(self) -> None:
        """Stop it after the call of the model that it is at."""
        self.pipe.close()
        if self.shard is not None:
            self.process.terminate()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(pipe: connection.Connection, settings: Settings, device: int | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    begin(device)
    with suppress(KeyboardInterrupt), sigterm_as_interrupt(), settings.worker() as worker:
        while True:
            try:
                shard = pipe.recv()
            except EOFError:
                return
            pipe.send(_fault(worker, shard))


def _fault(worker: Worker, shard: Shard) -> Exception | None:
    try:
        worker.run(shard.work())
    except UserError as error:
        return error
    except Exception:
        return RuntimeError(f"a worker failed:\n{traceback.format_exc()}")
    return None


def begin(device: int | None = None) -> None:
    """Set up a worker process: one thread, or one GPU; it ends when its parent does."""
    if device is None:
        # Also for the kernels of notebooks. A library that is loaded by now has read them, and must
        # be told.
        os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(1)
    else:
        visible = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[device] if visible else str(device)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End a worker whose parent was killed, which would go on for the rest of its work."""
    parent_process().join()
    os._exit(1)


def engine(workers: int, gpus: int = 0) -> Engine:
    """Return the engine for a number of processes on the CPU, or for a number of GPUs of this
    machine.

    Raises:
        UserError: There are not that many GPUs.
    """
    if gpus:
        import torch

        if gpus > torch.cuda.device_count():
            raise UserError(
                f"{gpus} GPUs were asked for, and torch {torch.__version__} sees"
                f" {torch.cuda.device_count()} here: ask for fewer."
            )
        return Processes(gpus, tuple(range(gpus)))
    return InProcess() if workers <= 1 else Processes(workers)
