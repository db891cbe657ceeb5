"""The same prompts and numbers as lm-evaluation-harness, from its own task files and local data;
skipped where it is absent.

Only `lm-eval` itself is asked: its task files, context builder, filters and metric. Its code tasks
load a metric from the Hub on import, so their texts are taken from the files and given to its
context builder without that metric.
"""

import ast
from pathlib import Path

import pytest
import yaml
from support.benchmark_data import FOLDER, needs_data

from psd_lab import tasks
from psd_lab.tasks.benchmarks.extraction import extract, verdicts

lm_eval = pytest.importorskip(
    "lm_eval.tasks",
    reason=(
        "LM-EVAL ABSENT: prompts are NOT compared with the reference harness; pip install lm-eval"
        " in an environment of its own"
    ),
)
pytestmark = needs_data

STOCK = Path(lm_eval.__file__).parent
FILES = {
    "gsm8k": ("gsm8k/gsm8k.yaml", {"train": "gsm8k/train.jsonl.gz", "test": "gsm8k/test.jsonl.gz"}),
    "gsm8k_cot": ("gsm8k/gsm8k-cot.yaml", {"test": "gsm8k/test.jsonl.gz"}),
    "humaneval": ("humaneval/humaneval.yaml", {"test": "humaneval/HumanEval.jsonl.gz"}),
    "mbpp": ("mbpp/mbpp.yaml", {"test": "mbpp/mbpp.jsonl.gz"}),
}


class _Loader(yaml.SafeLoader):
    """Reads the harness's YAML without importing the functions it names."""


_Loader.add_constructor("!function", lambda loader, node: {"function": node.value})


def _samples(folder):
    """The literal list that the harness's `list_fewshot_samples` returns."""
    tree = ast.parse((folder / "utils.py").read_text(encoding="utf-8"))
    function = next(
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "list_fewshot_samples"
    )
    return ast.literal_eval(
        next(node.value for node in function.body if isinstance(node, ast.Return))
    )


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """The harness's tasks over local files, by name."""
    folder = tmp_path_factory.mktemp("tasks")
    for name, (file, data) in FILES.items():
        config = yaml.load((STOCK / file).read_text(encoding="utf-8"), _Loader)
        config.update(
            task=f"local_{name}",
            dataset_path="json",
            dataset_name=None,
            dataset_kwargs={
                "data_files": {split: str(Path(FOLDER) / path) for split, path in data.items()}
            },
        )
        if "unsafe_code" in config:
            for key in ("unsafe_code", "filter_list"):
                config.pop(key, None)
            config["metric_list"] = [{"metric": "exact_match"}]
            if "fewshot_config" in config:
                config["fewshot_config"]["samples"] = _samples((STOCK / file).parent)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    manager = lm_eval.TaskManager(include_path=str(folder), include_defaults=False)
    return {
        name: lm_eval.get_task_dict([f"local_{name}"], manager)[f"local_{name}"] for name in FILES
    }


def context(task, doc, shots):
    return task.fewshot_context(doc, shots)


@pytest.mark.parametrize(
    ("name", "reference", "profile", "shots"),
    [
        ("gsm8k", "gsm8k_cot", "dream-native", 8),
        ("gsm8k", "gsm8k_cot", "psd-512:cot", 5),
        ("gsm8k", "gsm8k_cot", "dream-native:instruct", 0),
        ("humaneval", "humaneval", "psd-512", 0),
        ("mbpp", "mbpp", "psd-512", 3),
        ("mbpp", "mbpp", "fastdllm-256", 3),
    ],
    ids=lambda value: str(value),
)
def test_prompts_are_the_harness_own(stock, name, reference, profile, shots):
    docs = [
        doc for doc in stock[reference].test_docs() if name != "mbpp" or 11 <= doc["task_id"] <= 510
    ]
    examples = tasks.get(name, profile, FOLDER).load("test")
    assert len(docs) == len(examples)
    for doc, example in list(zip(docs, examples, strict=True))[:: max(1, len(docs) // 40)]:
        assert context(stock[reference], doc, shots) == example.prompt


def test_frozen_exemplars_are_the_first_that_the_harness_draws(stock):
    task = stock["gsm8k"]
    task.set_fewshot_seed(1234)
    docs = list(task.test_docs())
    example = tasks.get("gsm8k", "psd-512", FOLDER).load("test", 1)[0]
    assert context(task, docs[0], 5) == example.prompt
    assert context(task, docs[0], 5) != example.prompt, (
        "the harness draws others each time, which is why ours are frozen"
    )


@pytest.mark.parametrize(
    "form",
    ["#### {n}", "The answer is {n}.", "\\boxed{{{n}.00}}", "It is {n} dollars every 2 days", ""],
    ids=range(5),
)
def test_strict_and_flexible_decide_as_the_harness_does(stock, form):
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter

    examples = tasks.get("gsm8k", data_dir=FOLDER).load("test")[::40]
    texts = [form.format(n=example.meta["answer"]) for example in examples]
    options = {"ignore_case": True, "regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"]}
    for config in stock["gsm8k"].config.filter_list:
        regex = {key: value for key, value in config["filter"][0].items() if key != "function"}
        found = [
            answers[0]
            for answers in RegexFilter(**regex).apply(
                [[text] for text in texts], [{} for _ in texts]
            )
        ]
        ours = "strict" if config["name"] == "strict-match" else "flexible"
        for example, text, answer in zip(examples, texts, found, strict=True):
            theirs = exact_match_hf_evaluate([answer], [example.reference], **options)[
                "exact_match"
            ]
            assert verdicts(extract(text), example.meta["answer"])[ours] == bool(theirs), text
