"""What a run will cost: real calls of the loaded models at the shapes of the run, times the calls
that are left.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from psd_lab.progress import duration
from psd_lab.runs.config import ExperimentConfig, digest
from psd_lab.runs.experiments import plan
from psd_lab.runs.runner import BATCH_SIZE, Unit, free_memory, out_of_memory
from psd_lab.runs.sources import source
from psd_lab.runs.store import folder_of, read
from psd_lab.runs.tiers import Tier

FILE = "estimate.json"
CALLS = 3  # the first of a batch, one that still allocates, and one that is timed


class Enough(Exception):
    """The probe has seen what it wanted."""


class Probe:
    """A denoiser that times its calls and stops the decoding after `calls` of them."""

    def __init__(self, denoiser: Any, calls: int = CALLS):
        self._denoiser, self._left, self.ms = denoiser, calls, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._denoiser, name)

    def logits(self, *arguments: Any, **options: Any) -> Any:
        """One call of the model, timed until its result is there."""
        if not self._left:
            raise Enough
        self._left -= 1
        wait(self.device)
        start = time.perf_counter()
        found = self._denoiser.logits(*arguments, **options)
        wait(self.device)
        self.ms.append((time.perf_counter() - start) * 1e3)
        return found


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
    """Warm up with every model and say what the missing rows will cost; the details go to the
    tier's estimate.json.

    Raises UserError as loading and planning do.
    """
    costs: dict[str, Cost] = {}
    warm_up = WarmUp()
    for name in dict.fromkeys(name for config in configs for name in config.models):
        model = source(name, tier.dtype)
        for config, task in (
            (config, task) for config in configs if name in config.models for task in config.tasks
        ):
            contents = read(folder_of(None, model.name, model.fingerprint, task))
            for unit in plan(config, model, task, tier):
                left = sum(
                    (unit.hash, example.id) not in contents.rows for example in unit.examples
                )
                if left and unit.hash not in costs:
                    costs[unit.hash] = warm_up.cost(config.name, unit, left)
    tier.folder.mkdir(parents=True, exist_ok=True)
    listed = [asdict(one) for one in costs.values()]
    (tier.folder / FILE).write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    return summary(list(costs.values()))


class WarmUp:
    """Measures units; decoders that draft alike share one measurement, and all decoders of a task
    one decoded answer.
    """

    def __init__(self):
        self.measured: dict[str, tuple[int, float]] = {}

    def cost(self, experiment: str, unit: Unit, items: int) -> Cost:
        """What `items` examples of a unit will take."""
        config = unit.config
        setting = [
            unit.model.fingerprint,
            unit.model.dtype,
            unit.task.name,
            unit.data_hash,
            len(unit.examples),
        ]
        plugs = {
            name: config.to_dict()[name]
            for name in ("builder", "cache", "block_length", "gen_length")
        }
        batch, ms = self._once([*setting, plugs], call_ms, unit)
        length, rate = self._once([*setting, "answer"], answer, unit)
        rate = 1.0 if config.depth == 0 and getattr(config.policy, "k", 0) == 1 else rate
        hours = items / batch * ms / 3.6e6
        return Cost(
            experiment,
            unit.model.name,
            unit.task.name,
            config.label,
            items,
            batch,
            ms,
            rate,
            hours * length / rate,
            hours * config.gen_length,
        )

    def _once(
        self, name: list[Any], measure: Callable[[Unit], tuple[int, float]], unit: Unit
    ) -> tuple[int, float]:
        key = digest(name)
        if key not in self.measured:
            self.measured[key] = measure(unit)
        return self.measured[key]


def call_ms(unit: Unit) -> tuple[int, float]:
    """The batch that memory allows and the milliseconds of one verifying call of it, at prompts of
    middling length.
    """
    ordered = sorted(unit.examples, key=lambda example: len(example.prompt))
    middle = max(0, (len(ordered) - BATCH_SIZE) // 2)
    examples = ordered[middle : middle + BATCH_SIZE]
    model = unit.model.load()
    while True:
        probe = Probe(model.denoiser)
        probed = replace(model, denoiser=probe)
        try:
            replace(unit, model=replace(unit.model, load=lambda: probed)).decode(examples)
        except Enough:
            pass
        except Exception as error:
            if not out_of_memory(error) or len(examples) == 1:
                raise
            examples = examples[: len(examples) // 2]
            free_memory()
            continue
        return len(examples), probe.ms[-1]


def answer(unit: Unit) -> tuple[int, float]:
    """Tokens of one answer up to its end, and tokens per call of the `confidence` policy that
    decoded it.
    """
    from psd_lib.decoding import DecodeConfig

    middle = sorted(unit.examples, key=lambda example: len(example.prompt))[len(unit.examples) // 2]
    options = {name: getattr(unit.config, name) for name in ("gen_length", "block_length", "cache")}
    (sequence,) = replace(unit, config=DecodeConfig.make("confidence", **options)).decode([middle])
    length = min(sequence.n_tokens + 1, unit.config.gen_length)
    return length, max(1.0, length / sequence.nfe)


def summary(costs: Sequence[Cost]) -> str:
    """The estimate for people: a line per model and task, the sums, and what they assume."""
    if not costs:
        return "cost estimate: nothing is left to decode"
    lines = []
    for model, task in dict.fromkeys((one.model, one.task) for one in costs):
        mine = [one for one in costs if (one.model, one.task) == (model, task)]
        ms = [one.ms for one in mine]
        lines.append(
            f"  {model} {task}: {len(mine)} decoders x {mine[0].items} items, batches of"
            f" {min(one.batch for one in mine)}, {min(ms):.1f} to {max(ms):.1f} ms a call (median"
            f" {statistics.median(ms):.1f}): {_said(mine)}"
        )
    rates = [one.tokens_per_call for one in costs if one.tokens_per_call > 1] or [1.0]
    where = (
        f"one {torch.cuda.get_device_name()}"
        if torch.cuda.is_available()
        else f"this CPU ({torch.get_num_threads()} threads)"
    )
    lines.append(
        f"cost estimate on {where}: {_said(costs)}. Measured: one call of every kind of draft at"
        f" the run's shapes. Assumed: parallel decoders commit {min(rates):.1f} to {max(rates):.1f}"
        " tokens a call and answers are as long as the one answer per task decoded here, drafts"
        " add nothing to that, batches stay full; at most means one token a call and answers of"
        " full length"
    )
    return "\n".join(lines)


def _said(costs: Sequence[Cost]) -> str:
    hours, most = sum(one.hours for one in costs), sum(one.most_hours for one in costs)
    if torch.cuda.is_available():
        return f"about {hours:.2f} GPU-hours, at most {most:.2f}"
    return f"about {duration(hours * 3600)}, at most {duration(most * 3600)}"


def wait(where: torch.device) -> None:
    """Until a GPU has finished what it was asked; a CPU has."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)
