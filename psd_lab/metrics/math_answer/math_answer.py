"""Answers to mathematics problems.

Predictions are answers as generated, references the gold answers in LaTeX.
"""

import evaluate

from psd_lab.metrics.inputs import TEXTS, choose
from psd_lab.metrics.summary import summarise
from psd_lab.tasks.benchmarks.equivalence import decider
from psd_lab.tasks.benchmarks.math500 import READERS, score


class MathAnswer(evaluate.Metric):
    """Accuracy by the reader `headline`; `equivalence` names what compared the answers."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="arXiv 2103.03874",
            features=TEXTS,
            inputs_description=str(list(READERS)),
        )

    def _compute(self, predictions, references, headline="boxed"):
        choose("reader", headline, READERS)
        scores = [
            score(text, gold, headline) for text, gold in zip(predictions, references, strict=True)
        ]
        return {**summarise(scores), "equivalence": decider()}
