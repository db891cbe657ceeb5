"""Final numbers of word problems.

Predictions are answers as generated, references the gold numbers.
"""

import evaluate

from psd_lab.metrics.inputs import TEXTS, choose
from psd_lab.metrics.summary import summarise
from psd_lab.tasks.benchmarks.extraction import EXTRACTORS
from psd_lab.tasks.benchmarks.gsm8k import score


class Gsm8kAnswer(evaluate.Metric):
    """Accuracy by the extractor `headline`, all extractors side by side."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="arXiv 2110.14168",
            features=TEXTS,
            inputs_description=str(list(EXTRACTORS)),
        )

    def _compute(self, predictions, references, headline="flexible"):
        choose("extractor", headline, EXTRACTORS)
        return summarise(
            [
                score(text, gold.rpartition("#### ")[2].strip(), headline)
                for text, gold in zip(predictions, references, strict=True)
            ]
        )
