"""Programs run with their tests in the sandbox: predictions are completions, references JSON
objects.

A reference has the keys prompt, entry_point and test (as HumanEval), or tests (a list of asserts)
and imports (as MBPP).
"""

import json

import datasets
import evaluate

from psd_lab.metrics.summary import summarise
from psd_lab.tasks.base import Example
from psd_lab.tasks.benchmarks import humaneval, mbpp, programs
from psd_lab.tasks.benchmarks.postprocess import POSTPROCESS
from psd_lib.errors import UserError

_TEXTS = datasets.Features(
    {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
)


def _tests(example):
    return (humaneval if "test" in example.meta else mbpp).tests(example)


def _read(text):
    try:
        meta = json.loads(text)
    except ValueError:
        meta = None
    if not isinstance(meta, dict) or not (
        {"prompt", "entry_point", "test"} <= set(meta) or {"tests", "imports"} <= set(meta)
    ):
        raise UserError(
            "A reference of code_tests must be a JSON object with prompt, entry_point and test, or"
            " with tests and imports."
        )
    return Example("", "", "", meta)


class CodeTests(evaluate.Metric):
    """pass@1 of one completion an item, after the post-processing of that name."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="arXiv 2107.03374",
            features=_TEXTS,
            inputs_description=str(list(POSTPROCESS)),
        )

    def _compute(self, predictions, references, postprocess="as-is-1", timeout=10.0, workers=2):
        if postprocess not in POSTPROCESS:
            raise UserError(
                f"Unknown post-processing {postprocess!r}: use one of {', '.join(POSTPROCESS)}."
            )
        pairs = [
            (text, _read(reference))
            for text, reference in zip(predictions, references, strict=True)
        ]
        return summarise(programs.judge(pairs, postprocess, timeout, workers, _tests))
