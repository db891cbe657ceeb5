"""What a run will cost: timed calls of the loaded models at the shapes of the run, times the calls
that are left.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch

from psd_lab.files import write_atomically
from psd_lab.progress import duration
from psd_lab.runs.checkpoints import checkpoint
from psd_lab.runs.config import ExperimentConfig, digest
from psd_lab.runs.experiments import plan
from psd_lab.runs.runner import BATCH_SIZE, WorkItem, free_memory, out_of_memory
from psd_lab.runs.store import folder_of, read
from psd_lab.runs.tiers import Tier

FILE = "estimate.json"
CALLS = 3  # the first of a batch, one that still allocates, and one that is timed


class ProbeFinished(Exception):
    """Raised to stop decoding after the timed calls."""


class Probe:
    """A denoiser that times its calls and stops the decoding after `calls` of them."""

    def __init__(self, denoiser: Any, calls: int = CALLS):
        self._denoiser, self._left, self.ms = denoiser, calls, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoiser, name)

    def logits(self, *arguments: Any, **options: Any) -> Any:
        """Call the model and time it until the result is there."""
        if not self._left:
            raise ProbeFinished
        self._left -= 1
        wait(self.device)
        start = time.perf_counter()
        result = self._denoiser.logits(*arguments, **options)
        wait(self.device)
        self.ms.append((time.perf_counter() - start) * 1e3)
        return result


@dataclass(frozen=True)
class Cost:
    """One decoder on one task with one model: `items` are left, a call of `batch` of them takes
    `ms`.

    `most_hours`: one token per call and every answer of full length; `hours`: with
    `tokens_per_call` and the answer's length of the one answer that was decoded to the end.
    """

    experiment: str
    model: str
    task: str
    label: str
    items: int
    batch: int
    ms: float
    tokens_per_call: float
    hours: float
    most_hours: float


def estimate(tier: Tier, configs: Sequence[ExperimentConfig]) -> str:
    """Warm up with every model and return what the missing rows will cost, in sentences; the
    details go to the tier's estimate.json.

    Raises:
        UserError: As loading and planning do.
    """
    costs: dict[str, Cost] = {}
    warm_up = WarmUp()
    for name in dict.fromkeys(name for config in configs for name in config.models):
        model = checkpoint(name, tier.dtype)
        wanted = [(one, task) for one in configs if name in one.models for task in one.tasks]
        for config, task in wanted:
            found = read(folder_of(None, model.name, model.fingerprint, task))
            for item in plan(config, model, task, tier):
                left = len(item.missing(found))
                if left and item.hash not in costs:
                    costs[item.hash] = warm_up.cost(config.name, item, left)
    listed = [asdict(one) for one in costs.values()]
    write_atomically(tier.folder / FILE, json.dumps(listed, indent=1) + "\n")
    return summary(list(costs.values()))


class WarmUp:
    """Measures work items; decoders that draft alike share one measurement, and all decoders of a
    task one decoded answer.
    """

    def __init__(self):
        self.measured: dict[str, tuple[int, float]] = {}

    def cost(self, experiment: str, item: WorkItem, count: int) -> Cost:
        """Return what `count` examples of an item will take."""
        config = item.config
        setting = [
            item.model.fingerprint,
            item.model.dtype,
            item.task.name,
            item.data_hash,
            len(item.examples),
        ]
        plugs = {
            name: config.to_dict()[name]
            for name in ("builder", "cache", "block_length", "gen_length")
        }
        batch, ms = self._once([*setting, plugs], call_ms, item)
        length, rate = self._once([*setting, "answer"], answer, item)
        rate = 1.0 if config.depth == 0 and config.policy.max_commits == 1 else rate
        hours = count / batch * ms / 3.6e6
        return Cost(
            experiment,
            item.model.name,
            item.task.name,
            config.label,
            count,
            batch,
            ms,
            rate,
            hours * length / rate,
            hours * config.gen_length,
        )

    def _once(
        self, name: list[Any], measure: Callable[[WorkItem], tuple[int, float]], item: WorkItem
    ) -> tuple[int, float]:
        key = digest(name)
        if key not in self.measured:
            self.measured[key] = measure(item)
        return self.measured[key]


def call_ms(item: WorkItem) -> tuple[int, float]:
    """Return the batch that memory allows and the milliseconds of one verifying call of it, at
    prompts of middling length.
    """
    ordered = sorted(item.examples, key=lambda example: len(example.prompt))
    middle = max(0, (len(ordered) - BATCH_SIZE) // 2)
    examples = ordered[middle : middle + BATCH_SIZE]
    model = item.model.load()
    while True:
        probe = Probe(model.denoiser)
        probed = partial(replace, model, denoiser=probe)
        try:
            replace(item, model=replace(item.model, load=probed)).decode(examples)
        except ProbeFinished:
            pass
        except Exception as error:
            if not out_of_memory(error) or len(examples) == 1:
                raise
            examples = examples[: len(examples) // 2]
            free_memory()
            continue
        return len(examples), probe.ms[-1]


def answer(item: WorkItem) -> tuple[int, float]:
    """Return the tokens of one answer up to its end, and the tokens per call of the `confidence`
    policy that decoded it.
    """
    from psd_lib import DecodeConfig

    middle = sorted(item.examples, key=lambda example: len(example.prompt))[len(item.examples) // 2]
    options = {name: getattr(item.config, name) for name in ("gen_length", "block_length", "cache")}
    (sequence,) = replace(item, config=DecodeConfig.make("confidence", **options)).decode([middle])
    length = min(sequence.n_tokens + 1, item.config.gen_length)
    return length, max(1.0, length / sequence.nfe)


def summary(costs: Sequence[Cost]) -> str:
    """Return the estimate for people: a line per model and task, the sums, and what they assume."""
    if not costs:
        return "cost estimate: nothing is left to decode"
    lines = []
    for model, task in dict.fromkeys((one.model, one.task) for one in costs):
        own = [one for one in costs if (one.model, one.task) == (model, task)]
        ms = [one.ms for one in own]
        lines.append(
            f"  {model} {task}: {len(own)} decoders x {own[0].items} items, batches of"
            f" {min(one.batch for one in own)}, {min(ms):.1f} to {max(ms):.1f} ms a call (median"
            f" {statistics.median(ms):.1f}): {_hours(own)}"
        )
    rates = [one.tokens_per_call for one in costs if one.tokens_per_call > 1] or [1.0]
    where = (
        f"one {torch.cuda.get_device_name()}"
        if torch.cuda.is_available()
        else f"this CPU ({torch.get_num_threads()} threads)"
    )
    lines.append(
        f"cost estimate on {where}: {_hours(costs)}. Measured: one call of every kind of draft at"
        f" the run's shapes. Assumed: parallel decoders commit {min(rates):.1f} to {max(rates):.1f}"
        " tokens a call and answers are as long as the one answer per task decoded here, drafts"
        " add nothing to that, batches stay full; at most means one token a call and answers of"
        " full length"
    )
    return "\n".join(lines)


def _hours(costs: Sequence[Cost]) -> str:
    hours, most = sum(one.hours for one in costs), sum(one.most_hours for one in costs)
    if torch.cuda.is_available():
        return f"about {hours:.2f} GPU-hours, at most {most:.2f}"
    return f"about {duration(hours * 3600)}, at most {duration(most * 3600)}"


def wait(where: torch.device) -> None:
    """Wait until a GPU has finished what it was asked; a CPU has."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)
