"""Any task of psd_lab.

Predictions are completions, references items as JSON lines (`psd_lab.tasks.items.as_line`).
"""

import evaluate

from psd_lab import tasks
from psd_lab.metrics.inputs import TEXTS
from psd_lab.metrics.summary import summarise
from psd_lab.tasks.items import parse


class TaskScore(evaluate.Metric):
    """The verdicts of `tasks.get(task, profile).score_many`."""

    def _info(self):
        return evaluate.MetricInfo(
            description=__doc__, citation="", features=TEXTS, inputs_description=str(tasks.names())
        )

    def _compute(self, predictions, references, task, profile=None, workers=2):
        judging = tasks.get(task, profile)
        pairs = [
            (text, parse(line, judging.needs, f"reference {number} of task_score"))
            for number, (text, line) in enumerate(zip(predictions, references, strict=True), 1)
        ]
        return summarise(judging.score_many(pairs, workers))
