"""Score programs of code benchmarks in the sandbox, many side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from psd_lab.tasks.base import Example, Score
from psd_lab.tasks.benchmarks.benchmark import Pair
from psd_lab.tasks.benchmarks.postprocess import POSTPROCESS

if TYPE_CHECKING:
    from psd_lab.sandbox import Tests

# The CPU limit decides. One reference (MBPP 123) needs 5 to 8 of the 10 seconds, which a busy
# machine stretches.
WALL_PER_CPU = 6


def judge(
    pairs: Sequence[Pair],
    postprocess: str,
    timeout: float,
    workers: int,
    tests: Callable[[Example], Tests],
    packages: Sequence[str] = (),
) -> list[Score]:
    """Run each program with its tests in the sandbox.

    An empty completion is wrong without being run. `correct` is None where the sandbox failed.

    Args:
        pairs: Completions and their items.
        postprocess: Which post-processing makes a completion a program; the score carries it.
        timeout: Seconds of CPU for each program.
        workers: Programs side by side.
        tests: Makes the tests of an item.
        packages: Installed packages that programs may import, as in `sandbox.check`.
    """
    from psd_lab import sandbox

    make = POSTPROCESS[postprocess]
    filled = [at for at, (completion, _) in enumerate(pairs) if completion.strip()]
    programs = {
        at: make(
            pairs[at][0],
            pairs[at][1].meta.get("prompt", ""),
            pairs[at][1].meta.get("entry_point", ""),
        )
        for at in filled
    }
    limits = sandbox.Limits(cpu=timeout, wall=WALL_PER_CPU * timeout)
    checks = sandbox.check_many(
        [(programs[at], tests(pairs[at][1])) for at in filled],
        limits=limits,
        workers=workers,
        packages=packages,
    )
    verdicts = dict(zip(filled, checks, strict=True))
    scores = []
    for at in range(len(pairs)):
        details = {"postprocess": postprocess}
        if at not in verdicts:
            scores.append(Score(False, None, "no answer", None, details))
            continue
        verdict = verdicts[at]
        details.update(sandbox=verdict.backend, cpu=round(verdict.cpu, 3))
        correct = None if verdict.status == "infra" else verdict.status == "pass"
        scores.append(
            Score(correct, programs[at], "ok" if correct else verdict.reason, None, details)
        )
    return scores
