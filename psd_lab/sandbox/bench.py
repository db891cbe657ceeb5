"""`python -m psd_lab.sandbox.bench`: measure what a check costs here.

Prints a table and, as the last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from psd_lab.sandbox.checking import run
from psd_lab.sandbox.probing import probe, require
from psd_lab.sandbox.verdict import Limits, Tests

CASES = {
    "trivial": ("def f(x):\n    return x + 1\n", Tests("assert f(1) == 2")),
    "with typing": (
        "from typing import List\ndef f(xs: List[int]) -> int:\n    return sum(xs)\n",
        Tests("assert f([1, 2]) == 3\nassert f([]) == 0"),
    ),
    "with libraries": (
        "import collections, itertools, math, re\ndef f(s):\n    return len(re.findall('a', s))\n",
        Tests("assert f('banana') == 3"),
    ),
}


def measure(backend: str, name: str, count: int, workers: int) -> dict[str, object]:
    """Run `count` checks of one kind and measure them.

    Returns checks per second, CPU milliseconds per check (sandbox and host) and wall milliseconds
    of one. CPU time is unknown (None) under bubblewrap, which ends without waiting for what it
    started.
    """
    code, tests = CASES[name]
    start, before = time.monotonic(), _cpu()
    with ThreadPoolExecutor(workers) as pool:
        verdicts = list(
            pool.map(lambda _: run(backend, code, tests, Limits(cpu=10, wall=60)), range(count))
        )
    seconds, used = time.monotonic() - start, _cpu() - before
    return {
        "backend": backend,
        "case": name,
        "passed": sum(verdict.status == "pass" for verdict in verdicts),
        "checks": count,
        "per_second": round(count / seconds, 1),
        "cpu_ms": None if backend == "bubblewrap" else round(1000 * used / count, 1),
        "wall_ms": round(1000 * median(verdict.wall for verdict in verdicts), 1),
    }


def _cpu() -> float:
    """Sum the CPU seconds of this process and of all it has waited for.

    The candidate is among them: the judge waits for it.
    """
    own, others = (
        resource.getrusage(resource.RUSAGE_SELF),
        resource.getrusage(resource.RUSAGE_CHILDREN),
    )
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def main() -> None:
    """Measure every case with every back-end that works here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=100, help="checks per case (default 100)")
    parser.add_argument("--workers", type=int, default=2, help="checks side by side (default 2)")
    chosen = parser.parse_args()
    require()
    working = [name for name, found in probe().found.items() if found == "works"]
    rows = [
        measure(backend, name, chosen.checks, chosen.workers)
        for backend in working
        for name in CASES
    ]
    form = "{:12}{:16}{:>10}{:>10}{:>10}{:>12}"
    print(form.format("backend", "case", "checks/s", "CPU ms", "wall ms", "passed"))
    for row in rows:
        passed = f"{row['passed']}/{row['checks']}"
        cells = (row["per_second"], row["cpu_ms"] or "-", row["wall_ms"], passed)
        print(form.format(row["backend"], row["case"], *cells))
    print(
        json.dumps(
            {
                "workers": chosen.workers,
                "cores": os.cpu_count(),
                "load": round(os.getloadavg()[0], 1),
                "rows": rows,
            }
        )
    )


if __name__ == "__main__":
    main()
