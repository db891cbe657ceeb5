"""The lm-eval plug-in: its own logic without the harness, and with it where it is installed."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import pytest

import psd_lib
from psd_lab.harness.__main__ import traces_beside
from psd_lab.harness.answers import Answers, cut, has_repeats, noises
from psd_lib.errors import UserError

UNTIL = {"until": ["w9"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 8}


def request(prompt, doc=0, **options):
    return SimpleNamespace(args=(prompt, {**UNTIL, **options}), task_name="words", doc_id=doc)


def test_completions_are_those_of_generate_cut_at_the_stop_strings(tiny_model, tmp_path):
    answers = Answers(
        tiny_model,
        "psd",
        {"threshold": 0.5, "depth": 2},
        batch_size=2,
        traces=tmp_path / "out" / "traces.jsonl",
    )
    requests = [request("w3 w4 w5 w6", 0), request("w7", 1, max_gen_toks=16), request("w8 w9", 2)]
    kept = []
    texts = answers.answer(requests, lambda one, text: kept.append((one.doc_id, text)))
    for one, text in zip(requests, texts, strict=True):
        alone = psd_lib.generate(
            tiny_model,
            one.args[0],
            "psd",
            threshold=0.5,
            depth=2,
            gen_length=one.args[1]["max_gen_toks"],
        )[0]
        assert text == alone.text.split("w9")[0]
    assert sorted(kept) == list(enumerate(texts))
    lines = [
        json.loads(line) for line in (tmp_path / "out" / "traces.jsonl").read_text().splitlines()
    ]
    assert {line["doc_id"] for line in lines} == {0, 1, 2}
    for line in lines:
        assert line["decoder"] == "psd(confidence 0.5, d=2)"
        assert line["nfe"] >= 1
        lengths = {len(values) for values in line["trace"].values()}
        assert lengths == {16 if line["doc_id"] == 1 else 8}


def test_each_repeat_of_a_request_has_noise_of_its_own(tiny_model):
    """maj@k and pass@k would collapse to one sample otherwise."""
    answers = Answers(tiny_model, "top_k", {"temperature": 1.5, "gen_length": 8}, batch_size=3)
    one, other = request("w3 w4", 0, until=[]), request("w7", 1, until=[])
    texts = answers.answer([one] * 4 + [other] * 2, lambda *_: None)
    assert len(set(texts[:4])) == 4 and texts[4] != texts[5]
    assert answers.answer([other, one, one], lambda *_: None) == [texts[4], *texts[:2]]
    assert answers.answer([one], lambda *_: None) == texts[:1]


def test_noise_of_the_first_repeat_is_that_of_its_prompt():
    first, same_prompt = request("w3"), request("w3", doc=1)
    index = noises([first, same_prompt, first, first])
    assert index[0] == index[1] == noises([first])[0] == crc32(b"w3") % (1 << 20)
    assert len(set(index)) == 3
    assert has_repeats([first, same_prompt, first]) and not has_repeats([first, same_prompt])


def test_an_interrupted_answer_has_kept_what_was_decoded(tiny_model):
    answers, kept = Answers(tiny_model, "greedy", batch_size=1), []

    def keep(one, text):
        kept.append(one.doc_id)
        if len(kept) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answers.answer([request("w3", 0), request("w3 w4", 1), request("w3 w4 w5", 2)], keep)
    assert kept == [0, 1]


@pytest.mark.parametrize(
    ("asked", "options", "found"),
    [
        ({}, {}, (256, 0.0)),
        ({"max_gen_toks": 64}, {}, (64, 0.0)),
        ({"max_new_tokens": 32, "do_sample": True, "temperature": 0.7}, {}, (32, 0.7)),
        ({"temperature": 0.7, "do_sample": False}, {}, (256, 0.0)),
        ({"max_gen_toks": 64}, {"gen_length": 16}, (16, 0.0)),
        ({"top_p": 1.0}, {}, (256, 0.0)),
    ],
)
def test_generation_options_of_tasks_become_a_config(tiny_model, asked, options, found):
    config = Answers(tiny_model, "confidence", options).config(asked)
    assert (config.gen_length, config.temperature) == found


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"decoder": "spiffi"}, "unknown decoder 'spiffi'"),
        ({"decoder": "greedy", "options": {"depth": 3}}, "decoder 'greedy' has no option 'depth'"),
        ({"bos": True}, "has no BOS token: leave out add_bos_token"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
        ({"batch_size": "8"}, "batch_size must be a whole number of at least 1, not '8'"),
        ({"traces": Path("/dev/null/x/traces.jsonl")}, "traces cannot be written to /dev/null/x"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_decoded(
    tiny_model, arguments, sentence
):
    with pytest.raises(UserError, match=sentence):
        Answers(tiny_model, **arguments)


def test_sampling_that_no_decoder_has_is_refused(tiny_model):
    with pytest.raises(UserError, match="the decoders have no top_p"):
        Answers(tiny_model, "greedy").answer([request("w3", top_p=0.95)], print)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"max_gen_toks": "many"}, "max_gen_toks of a task must be a whole number, not 'many'"),
        ({"max_gen_toks": 8.5}, "max_gen_toks of a task must be a whole number, not 8.5"),
        ({"max_gen_toks": float("inf")}, "max_gen_toks of a task must be a whole number, not inf"),
        (
            {"do_sample": True, "temperature": [1]},
            r"temperature of a task must be a number, not \[1\]",
        ),
        ({"until": 5}, "until of a task must be a text or a list of texts, not 5"),
        ({"until": ["a", None]}, "until of a task must be a text or a list of texts"),
    ],
)
def test_options_of_wrong_types_are_one_sentence(tiny_model, asked, sentence):
    with pytest.raises(UserError, match=sentence):
        Answers(tiny_model, "greedy").answer([request("w3", **asked)], lambda *_: None)


@pytest.mark.parametrize(
    ("until", "left"),
    [
        (None, "a b; c d"),
        ([], "a b; c d"),
        ("c", "a b; "),
        (["d", ";"], "a b"),
        (["x", ""], "a b; c d"),
    ],
)
def test_the_first_stop_string_cuts(until, left):
    assert cut("a b; c d", until) == left


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["run", "--output_path", "out"], "out/psd_traces.jsonl"),
        (["--output_path=a/b.json"], "a/psd_traces.jsonl"),
        (["run", "-o", "x"], "x/psd_traces.jsonl"),
        (["ls", "tasks"], None),
    ],
)
def test_traces_lie_beside_the_results(arguments, place):
    assert traces_beside(arguments) == place


needs_harness = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None,
    reason=(
        "SKIPPED LOUDLY: lm-eval is not installed, so the plug-in was not run by the real harness"
        " (pip install 'psd-lib[lm-eval]')"
    ),
)
TASK = """task: words_tiny
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: {kind}
test_split: test
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{reference}}}}"
{more}
metric_list: [{{metric: {metric}, aggregation: mean, higher_is_better: true}}]
"""


@pytest.fixture
def harness(tmp_path):
    """A function that runs the real harness on four words tasks and a tiny checkpoint."""
    from psd_lib.testing import save_checkpoint, tiny_model

    save_checkpoint(tiny_model(), tmp_path / "tiny")
    lines = [json.dumps({"prompt": f"w3 w{i}", "reference": "w5"}) for i in range(4, 8)]
    (tmp_path / "data.jsonl").write_text("\n".join(lines) + "\n")

    def run(
        kind="generate_until",
        metric="exact_match",
        more="generation_kwargs: {until: [w9], max_gen_toks: 8}",
        decoder="psd",
        **options,
    ):
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager

        import psd_lab.harness.plugin  # noqa: F401 registers the model

        (tmp_path / "tasks").mkdir(exist_ok=True)
        text = TASK.format(data=tmp_path / "data.jsonl", kind=kind, more=more, metric=metric)
        (tmp_path / "tasks" / "words_tiny.yaml").write_text(text)
        manager = TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False)
        return simple_evaluate(
            model="psd",
            model_args=(
                f"pretrained={tmp_path / 'tiny'},decoder={decoder},"
                f"traces={tmp_path / 'traces.jsonl'}"
            ),
            device="cuda:0",  # the default of the harness's command, with or without a GPU
            tasks=["words_tiny"],
            task_manager=manager,
            **{"use_cache": str(tmp_path / "cache"), "bootstrap_iters": 0, **options},
        )

    return run


@needs_harness
def test_the_harness_runs_a_task_resumes_and_refuses(harness, tmp_path):
    found = harness()
    assert found["results"]["words_tiny"]["exact_match,none"] in (0, 0.25, 0.5, 0.75, 1)
    lines = (tmp_path / "traces.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert [sample["resps"][0][0] for sample in found["samples"]["words_tiny"]] == [
        line["completion"]
        for line in sorted(map(json.loads, lines), key=lambda line: line["doc_id"])
    ]
    again = harness()
    assert again["results"]["words_tiny"] == found["results"]["words_tiny"]
    assert (
        tmp_path / "traces.jsonl"
    ).read_text().splitlines() == lines  # everything came from the cache
    with pytest.raises(
        UserError, match="this request cache was filled with another model or decoder"
    ):
        harness(decoder="greedy")
    with pytest.raises(UserError, match="diffusion models have no exact likelihood here"):
        harness(kind="multiple_choice", metric="acc", more="doc_to_choice: [w4, w5]")


@needs_harness
def test_the_harness_samples_each_repeat_anew_and_caches_no_sample(harness):
    more = "repeats: 4\ngeneration_kwargs: {until: [w9], max_gen_toks: 8, temperature: 1.5%s}"
    sampled = harness(more=more % ", do_sample: true", decoder="top_k")
    for sample in sampled["samples"]["words_tiny"]:
        assert len(set(sample["resps"][0])) > 1
    with pytest.raises(UserError, match="cache would give all repeats of a request the same"):
        harness(more=more % "", decoder="top_k")
    alone = harness(more=more % "", decoder="top_k", use_cache=None)
    assert [s["resps"] for s in alone["samples"]["words_tiny"]] == [
        s["resps"] for s in sampled["samples"]["words_tiny"]
    ]
