"""Programs run with their tests in the sandbox.

Predictions are completions, references JSON objects with the keys prompt, entry_point and test (as
HumanEval), or tests (a list of asserts) and imports (as MBPP).
"""

import json

import evaluate

from psd_lab.metrics.inputs import TEXTS, choose
from psd_lab.metrics.summary import summarise
from psd_lab.tasks.benchmarks import humaneval, mbpp, programs
from psd_lab.tasks.benchmarks.postprocess import POSTPROCESS
from psd_lab.tasks.items import Example, check_count, check_meta
from psd_lib.errors import UserError


def _benchmark(meta):
    return humaneval if "test" in meta else mbpp


def _tests(example):
    return _benchmark(example.meta).tests(example)


def _read(text, number):
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError):
        meta = None
    if not isinstance(meta, dict) or not ({"test", "tests"} & set(meta)):
        raise UserError(
            f"reference {number} of code_tests must be a JSON object with prompt, entry_point and"
            " test, or with tests and imports."
        )
    check_meta(meta, _benchmark(meta).SPEC.needs, f"reference {number} of code_tests")
    return Example("", "", "", meta)


class CodeTests(evaluate.Metric):
    """pass@1 of one completion an item, after the post-processing of that name.

    `packages` are installed packages that programs may import, as in `sandbox.check`.
    """

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="arXiv 2107.03374",
            features=TEXTS,
            inputs_description=str(list(POSTPROCESS)),
        )

    def _compute(
        self, predictions, references, postprocess="as-is-1", timeout=10.0, workers=2, packages=()
    ):
        choose("post-processing", postprocess, POSTPROCESS)
        check_count("workers", workers)
        pairs = [
            (text, _read(line, number))
            for number, (text, line) in enumerate(zip(predictions, references, strict=True), 1)
        ]
        return summarise(programs.judge(pairs, postprocess, timeout, workers, _tests, packages))
