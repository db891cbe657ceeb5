"""Answers to mathematics problems: predictions are answers as generated, references the gold
answers in LaTeX.
"""

import datasets
import evaluate

from psd_lab.metrics.summary import summarise
from psd_lab.tasks.benchmarks.equivalence import decider
from psd_lab.tasks.benchmarks.math500 import READERS, score
from psd_lib.errors import UserError

_TEXTS = datasets.Features(
    {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
)


class MathAnswer(evaluate.Metric):
    """Accuracy by the reader `headline`; `equivalence` names what compared the answers."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="arXiv 2103.03874",
            features=_TEXTS,
            inputs_description=str(list(READERS)),
        )

    def _compute(self, predictions, references, headline="boxed"):
        if headline not in READERS:
            raise UserError(f"Unknown reader {headline!r}: use one of {', '.join(READERS)}.")
        found = summarise(
            [
                score(text, gold, headline)
                for text, gold in zip(predictions, references, strict=True)
            ]
        )
        return {**found, "equivalence": decider()}
