"""A small experiment for tests of runs: a toy task in a folder of the test's own and a tiny random
model.
"""

import json
import sys
import time
from pathlib import Path

from psd_lab import paths, tasks
from psd_lab.runs import ExperimentConfig, run
from psd_lab.tasks.base import Score, Task

WORDS = [f"w{i}" for i in range(2, 30)]


def judge(completion, example):
    words = completion.split()
    return Score("w5" in words, words[-1] if words else None, "ok" if "w5" in words else "wrong")


TOY = Task("toy", "words", 12, judge)
CONFIG = ExperimentConfig(
    name="toy",
    question="Does every example get its row?",
    models=("tiny",),
    tasks=("toy",),
    decoders=({"decoder": "greedy"}, {"decoder": "psd", "threshold": 0.5, "depth": [0, 3]}),
)


def row(example="a", config="c1", tokens="t1", **more):
    """A whole row of a store, of which only what identifies it matters."""
    identity = {"config_hash": config, "example_id": example, "model": "m", "task": "t"}
    described = {"model_fingerprint": "f", "split": "test", "decoder": "greedy", "label": "greedy"}
    verdict = {"correct": True, "answer": None, "reason": "ok"}
    counts = {"tokens": 0, "nfe": 1, "rows": 1, "query_tokens": 1}
    second = {"second_nfe": 0, "second_query_tokens": 0}
    rest = {"completion": "", "stopped": "eos", "model_ms": 1.0, "loop_ms": 1.0, "step_stats": {}}
    return {
        **identity,
        **described,
        "decode": {},
        "exact": True,
        "token_ids_hash": tokens,
        **verdict,
        **counts,
        **second,
        **rest,
        **more,
    }


def install(folder: Path, items: int = 40) -> None:
    """Make `toy` a task whose test set lies in `folder`; for use under monkeypatch or in a process
    of its own.
    """
    paths.TASKS = folder
    tasks._TASKS["toy"] = TOY
    lines = [
        json.dumps(
            {
                "id": f"toy/{i}",
                "prompt": " ".join(WORDS[i % 7 : i % 7 + 2 + i % 3]),
                "reference": "w5",
                "meta": {},
            }
        )
        for i in range(items)
    ]
    (folder / "toy").mkdir(parents=True, exist_ok=True)
    (folder / "toy" / "test.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(folder: str) -> None:
    """Run the experiment slowly, so that there is time to kill it."""
    import psd_lib
    from psd_lib.testing import tiny_model

    install(Path(folder) / "tasks")
    generate = psd_lib.generate

    def slow(*arguments, **options):
        time.sleep(0.3)
        return generate(*arguments, **options)

    psd_lib.generate = slow
    run(CONFIG, 40, Path(folder) / "results", loader=lambda name: tiny_model())


if __name__ == "__main__":
    main(sys.argv[1])
