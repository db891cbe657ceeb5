"""Final numbers of word problems: predictions are answers as generated, references the gold
numbers.
"""

import datasets
import evaluate

from psd_lab.metrics.summary import summarise
from psd_lab.tasks.benchmarks.extraction import EXTRACTORS
from psd_lab.tasks.benchmarks.gsm8k import score
from psd_lib.errors import UserError

_TEXTS = datasets.Features(
    {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
)


class Gsm8kAnswer(evaluate.Metric):
    """Accuracy by the extractor `headline`, all extractors side by side."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__,
            citation="arXiv 2110.14168",
            features=_TEXTS,
            inputs_description=str(list(EXTRACTORS)),
        )

    def _compute(self, predictions, references, headline="flexible"):
        if headline not in EXTRACTORS:
            raise UserError(f"Unknown extractor {headline!r}: use one of {', '.join(EXTRACTORS)}.")
        golds = [gold.rpartition("#### ")[2].strip() for gold in references]
        return summarise(
            [score(text, gold, headline) for text, gold in zip(predictions, golds, strict=True)]
        )
