"""Calibrate a draft graph: decode validation items with the bare policy and count where it went, in
ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from psd_lab.caches import exact_cache
from psd_lab.calibration.counts import Counts
from psd_lab.calibration.trajectories import Witness
from psd_lab.progress import progress as show_progress
from psd_lab.provenance import collect
from psd_lib.decoding import DecodeConfig
from psd_lib.decoding.checks import at_least
from psd_lib.decoding.graph_files import Calibration
from psd_lib.errors import UserError

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
    """Find the draft graph of a model and a policy from `items` validation items, spread evenly
    over the tasks.

    Each state of the bare policy is a root: the states up to `horizon` steps later in its block are
    formulas over its own ranks, with tokens among its `vocabulary` best. The `nodes` best by
    degree-1 accumulation are kept (Spiffy, arXiv 2509.18085). `policy` and `options` (k, threshold,
    block_length, gen_length, cache, ...) are those of `psd_lib.generate`; the default is greedy,
    and the fastest cache that changes no decision. The graph is called `name`, or else after the
    model and the policy. Items always come from the validation split, which no result is measured
    on. Raises UserError when a task has too few of them or when nothing was recorded.
    """
    import psd_lib

    for label, value in (
        ("items", items),
        ("nodes", nodes),
        ("horizon", horizon),
        ("vocabulary", vocabulary),
    ):
        at_least(label, value, 1)
    tasks = list(task) if isinstance(task, Sequence) else [task]
    given = {"policy": "top_k", "k": 1} if policy == GREEDY else {"policy": policy}
    options = {"cache": exact_cache(model.family), **given, **options}
    counts, used, settings = Counts(), {}, []
    for number, one in enumerate(tasks):
        examples = _examples(one, items // len(tasks) + (number < items % len(tasks)))
        config = DecodeConfig.make("psd", depth=0, **{"gen_length": one.gen_length, **options})
        witness = Witness(vocabulary)
        config = replace(config.bare, builder=witness)
        psd_lib.generate(
            model,
            [example.prompt for example in examples],
            config=config,
            progress=partial(show_progress, label=one.name) if progress else False,
        )
        for batch in witness.seen:
            counts.add(batch.walks(horizon))
        used[one.name] = {
            "data_hash": one.data_hash(SPLIT),
            "items": [example.id for example in examples],
        }
        settings.append(config)
    formulas = counts.best(nodes)
    if not formulas:
        raise UserError(
            "no policy step followed another one in the same block, so there is nothing to"
            " calibrate; use longer blocks."
        )
    block_length = settings[0].block_length or model.block_length
    about = {
        "model": model.name,
        "fingerprint": model.fingerprint,
        "split": SPLIT,
        "tasks": used,
        "policy": settings[0].bare.to_dict()["policy"],
        "gen_length": {t.name: c.gen_length for t, c in zip(tasks, settings)},
        "horizon": horizon,
        "vocabulary": vocabulary,
        "code": collect(),
    }
    return Calibration(
        name or f"{model.name}-{policy}",
        block_length,
        tuple(formulas),
        tuple(counts.reached[f] for f in formulas),
        counts.states,
        about,
    )


def _examples(task: Task, items: int) -> list[Example]:
    examples = task.load(SPLIT, items) if items else []
    if len(examples) < items:
        raise UserError(
            f"task {task.name!r} has {len(examples)} {SPLIT} items, calibration asks for {items};"
            " ask for fewer."
        )
    return examples
