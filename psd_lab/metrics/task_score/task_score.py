"""Any task of psd_lib: predictions are completions, references items as JSON lines
(`psd_lab.tasks.base.as_line`).
"""

import json

import datasets
import evaluate

from psd_lab import tasks
from psd_lab.metrics.summary import summarise
from psd_lib.errors import UserError

_TEXTS = datasets.Features(
    {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
)


def _read(text):
    try:
        return tasks.Example(**json.loads(text))
    except (ValueError, TypeError):
        raise UserError(
            "A reference of task_score must be an item as JSON: an object with id, prompt,"
            " reference and meta."
        ) from None


class TaskScore(evaluate.Metric):
    """The verdicts of `tasks.get(task, profile).score_many`."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__, citation="", features=_TEXTS, inputs_description=str(tasks.names())
        )

    def _compute(self, predictions, references, task, profile=None, workers=2):
        pairs = [
            (text, _read(reference))
            for text, reference in zip(predictions, references, strict=True)
        ]
        return summarise(tasks.get(task, profile).score_many(pairs, workers))
