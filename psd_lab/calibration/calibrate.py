"""Calibrate a draft graph: decode with the bare policy and count where it went, in ranks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psd_lab.caches import exact_cache
from psd_lab.calibration.counts import Counts
from psd_lab.calibration.trajectories import Note, Trajectories, walks
from psd_lab.progress import progress as show_progress
from psd_lab.provenance import collect
from psd_lib import DecodeConfig
from psd_lib.core.checks import LARGEST, at_least
from psd_lib.errors import UserError
from psd_lib.methods.spiffy import Calibration, Formula

if TYPE_CHECKING:
    from psd_lab.tasks.base import Example, Task
    from psd_lib.models import Model

SPLIT = "validation"
GREEDY = "greedy"


def calibrate(
    model: Model,
    task: Task | Sequence[Task],
    items: int = 50,
    *,
    name: str | None = None,
    nodes: int = 16,
    horizon: int = 4,
    vocabulary: int = 3,
    policy: str = GREEDY,
    progress: bool = False,
    **options: Any,
) -> Calibration:
    """Find the draft graph of a model and a policy (Spiffy, arXiv 2509.18085).

    Each state of the bare policy is a root: the states up to `horizon` steps later in its block are
    formulas over its own ranks. The best by degree-1 accumulation are kept. Items come from the
    validation split, which no result is measured on.

    Args:
        items: Number of items, spread evenly over the tasks.
        name: Name of the graph; <model>-<policy> if None.
        nodes: Number of states that the graph keeps.
        horizon: Number of steps that are looked ahead.
        vocabulary: Tokens of a formula are among this number of best ones at their position.
        policy: "greedy" or a policy of `psd_lib.generate`, which also takes `options` (k,
            threshold, block_length, gen_length, cache, ...). The cache is the fastest one that
            changes no decision unless given.
        progress: Whether to show how far the decoding is.

    Raises:
        UserError: An argument is refused, a task has too few items, or nothing was recorded.
    """
    _check_numbers(items=items, nodes=nodes, horizon=horizon, vocabulary=vocabulary)
    name = _name(name, f"{Path(model.name).name}-{policy}")
    examples = _examples(list(task) if isinstance(task, Sequence) else [task], items)
    given = {"policy": "top_k", "k": 1} if policy == GREEDY else {"policy": policy}
    options = {"cache": exact_cache(model.family), **given, **options}
    configs = {
        one: DecodeConfig.make("psd", depth=0, **{"gen_length": one.gen_length, **options})
        for one in examples
    }
    counts = Counts()
    for one, config in configs.items():
        prompts = [example.prompt for example in examples[one]]
        show = partial(show_progress, label=one.name) if progress else False
        for notes in _recorded(model, prompts, config, vocabulary, show):
            counts.add(walks(notes, horizon))
    formulas = _best(counts, nodes)
    about = _provenance(model, examples, configs) | {"horizon": horizon, "vocabulary": vocabulary}
    return Calibration(
        name,
        next(iter(configs.values())).block_length or model.block_length,
        formulas,
        tuple(counts.reached[formula] for formula in formulas),
        counts.states,
        about | {"code": collect()},
    )


def _check_numbers(**numbers: Any) -> None:
    for label, value in numbers.items():
        # every best token is another pass over the logits of each call
        at_least(label, value, 1, most=64 if label == "vocabulary" else LARGEST)


def _best(counts: Counts, nodes: int) -> tuple[Formula, ...]:
    formulas = counts.best(nodes)
    if not formulas:
        raise UserError(
            "no policy step followed another one in the same block, so there is nothing to"
            " calibrate; use longer blocks."
        )
    return tuple(formulas)


def _name(name: str | None, default: str) -> str:
    if name is None:
        return default
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.@-]*", name):
        raise UserError(
            f"name must be a file's name of letters, digits, '.', '@', '_' and '-', not {name!r}."
        )
    return name


def _examples(tasks: Sequence[Task], items: int) -> dict[Task, list[Example]]:
    """Spread the items over the tasks; every refusal comes before anything is decoded."""
    names = [getattr(task, "name", None) for task in tasks]
    if not tasks or None in names or len(set(names)) < len(names):
        raise UserError(
            "task must be a task or a list of different ones, as from psd_lab.tasks.get, not"
            f" {[name or task for name, task in zip(names, tasks, strict=True)]!r}."
        )
    if items < len(tasks):
        raise UserError(f"items must be at least {len(tasks)}, one for each task, not {items}.")
    found = {}
    for number, task in enumerate(tasks):
        share = items // len(tasks) + (number < items % len(tasks))
        found[task] = task.load(SPLIT, share)
        if len(found[task]) < share:
            raise UserError(
                f"task {task.name!r} has {len(found[task])} {SPLIT} items, calibration asks for"
                f" {share}; ask for fewer."
            )
    return found


def _recorded(
    model: Model, prompts: list[str], config: DecodeConfig, vocabulary: int, progress: Any
) -> list[list[Note]]:
    """Decode with the bare policy and return what was noted of every batch."""
    import psd_lib

    trajectories = Trajectories(vocabulary)
    psd_lib.generate(model, prompts, config=config.bare, progress=progress, observer=trajectories)
    return trajectories.batches()


def _provenance(
    model: Model, examples: dict[Task, list[Example]], configs: dict[Task, DecodeConfig]
) -> dict[str, Any]:
    """Describe the model, the items and the decoding that a graph comes from."""
    return {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "split": SPLIT,
        "tasks": {
            task.name: {
                "data_hash": task.data_hash(SPLIT),
                "items": [example.id for example in chosen],
            }
            for task, chosen in examples.items()
        },
        "policy": next(iter(configs.values())).bare.to_dict()["policy"],
        "gen_length": {task.name: config.gen_length for task, config in configs.items()},
    }
