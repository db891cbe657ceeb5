"""Published benchmarks by name.

Adding one means adding its SPEC to the tuple below and naming it in profiles.
"""

from __future__ import annotations

from psd_lab.tasks.benchmarks import gsm8k, humaneval, math500, mbpp
from psd_lab.tasks.benchmarks.benchmark import Benchmark, Spec, make
from psd_lab.tasks.benchmarks.protocol import Protocol, find, profiles, runs

SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (gsm8k.SPEC, humaneval.SPEC, mbpp.SPEC, mbpp.SANITIZED, math500.SPEC)
}

__all__ = ["SPECS", "Benchmark", "Protocol", "Spec", "find", "make", "profiles", "runs"]
