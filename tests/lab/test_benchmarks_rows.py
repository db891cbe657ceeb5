"""Where the rows of benchmarks come from, and what happens when they are not what is expected."""

import dataclasses
import gzip
import os
import subprocess
import sys

import pytest
from support.benchmark_data import ASKED, math, write

from psd_lab import tasks
from psd_lab.tasks.benchmarks import SPECS, make
from psd_lib.errors import UserError


def test_rows_through_datasets_are_those_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("PSD_DATA_DIR", raising=False)
    pytest.importorskip("datasets")
    rows = [{**ASKED, "level": number} for number in range(3)]
    write(tmp_path / "hub" / "test.jsonl", rows)
    spec = SPECS["math500"]
    through_hub = dataclasses.replace(
        spec, files=dataclasses.replace(spec.files, repo=str(tmp_path / "hub"))
    )
    local = math(tmp_path)
    assert make(through_hub, None, None).load() == local.load()
    assert make(through_hub, None, None).data_hash() == local.data_hash()


@pytest.mark.parametrize("flags", [{"HF_HUB_OFFLINE": "1"}], ids=["offline"])
def test_offline_fails_at_once_and_says_what_to_do(flags, tmp_path):
    pytest.importorskip("datasets")
    code = (
        "import sys, time, datasets\nfrom psd_lab import tasks\nstart = time.monotonic()\ntry:\n   "
        " tasks.get('humaneval').load()\nexcept ValueError as error:\n   "
        " print(type(error).__name__, error)\nprint(time.monotonic() - start)"
    )
    env = (
        {key: value for key, value in os.environ.items() if key != "PSD_DATA_DIR"}
        | flags
        | {"HF_HOME": str(tmp_path)}
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    said, seconds = out.strip().rsplit("\n", 1)
    assert said.startswith(
        "UserError humaneval could not be read from openai/openai_humaneval on the Hub (it is not"
        " in the local cache and HF_HUB_OFFLINE forbids the network): download it once, or give a"
        " folder that has humaneval/HumanEval.jsonl"
    )
    assert float(seconds) < 15, "the Hub's client retries for 23 s without the flag"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"question": "q"}],
            (
                "Row 1 of math500 lacks problem, solution, answer: the columns problem, solution,"
                " answer are expected, it has question"
            ),
        ),
        ([ASKED, ["no"]], "Row 2 of math500 lacks .* it has list"),
        ([], "The split test of math500 in .* is empty"),
        ([{**ASKED, "problem": 3}], "A row of math500 test has other contents than expected"),
    ],
    ids=["columns", "list", "empty", "contents"],
)
def test_other_columns_are_named(tmp_path, rows, message):
    write(tmp_path / "math500" / "test.jsonl", rows)
    with pytest.raises(UserError, match=message):
        tasks.get("math500", data_dir=tmp_path).load()


MBPP = {"task_id": 11, "text": "t", "code": "c", "test_list": ["assert f()"], "test_setup_code": ""}
CODE = {"task_id": "H/0", "prompt": "p", "canonical_solution": "s", "test": "t", "entry_point": "f"}


@pytest.mark.filterwarnings("ignore:.*not the published")
@pytest.mark.parametrize(
    ("name", "file", "row", "message"),
    [
        ("mbpp", "mbpp.jsonl", {**MBPP, "test_list": "assert f()"}, "must be a list of texts"),
        ("mbpp", "mbpp.jsonl", {**MBPP, "test_list": []}, "tests in meta must be a list of at"),
        ("mbpp", "mbpp.jsonl", {**MBPP, "test_setup_code": 7}, "tests in meta must be a list of"),
        ("mbpp", "mbpp.jsonl", {**MBPP, "task_id": "11"}, "has the task_id '11': a whole number"),
        ("humaneval", "HumanEval.jsonl", {**CODE, "test": 5}, "test in meta must be a text, not 5"),
        ("humaneval", "HumanEval.jsonl", {**CODE, "task_id": 5}, "5: id must be text"),
        ("humaneval", "HumanEval.jsonl", {**CODE, "prompt": "\ud800"}, "prompt must be text"),
    ],
    ids=range(7),
)
def test_rows_of_wrong_types_are_refused_before_anything_is_decoded(
    tmp_path, name, file, row, message
):
    write(tmp_path / file, [row])
    profile = {"mbpp": "dream-native:instruct"}.get(name)
    with pytest.raises(UserError, match=message):
        tasks.get(name, profile, tmp_path).load("test")


@pytest.mark.parametrize(
    "content", [b"{", b"\xff\xfe", gzip.compress(b"{}")[:-4]], ids=["json", "bytes", "gzip"]
)
def test_a_damaged_file_is_named(tmp_path, content):
    end = ".gz" if content[:2] == b"\x1f\x8b" else ""
    (tmp_path / f"test.jsonl{end}").write_bytes(content)
    with pytest.raises(UserError, match=r"test.jsonl.* cannot be read"):
        tasks.get("math500", data_dir=tmp_path).load()


def test_the_environment_names_a_folder(tmp_path, monkeypatch):
    expected = math(tmp_path).load()
    monkeypatch.setenv("PSD_DATA_DIR", str(tmp_path))
    assert tasks.get("math500").load() == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda folder: tasks.get("gsm8k", "paper"),
            "Unknown profile 'paper': use one of dream-native,",
        ),
        (
            lambda folder: tasks.get("math500", "psd-512"),
            (
                "Profile psd-512 does not run math500: the paper reports no MATH; it runs gsm8k,"
                " humaneval, mbpp"
            ),
        ),
        (
            lambda folder: tasks.get("math500", "llada-native:base"),
            "Profile llada-native:base does not run math500: LLaDA-Base",
        ),
        (
            lambda folder: tasks.get("gsm8k", data_dir=folder).load(),
            r"gsm8k is not in .*: gsm8k/train.jsonl \(or train.jsonl.gz\) is expected there",
        ),
        (
            lambda folder: tasks.get("humaneval", data_dir=folder).load("train"),
            "Unknown split 'train' of task humaneval: use one of test",
        ),
        (
            lambda folder: math(folder).load("test", 0),
            "limit must be a whole number of at",
        ),
        (
            lambda folder: math(folder).score_many([], 0),
            "workers must be a whole number",
        ),
        (
            lambda folder: math(folder).path("test"),
            "math500 is published data and is not generated here",
        ),
        (lambda folder: math(folder).stream(0), "Task math500 has fixed sets only"),
    ],
    ids=range(9),
)
def test_bad_requests_say_what_is_accepted(call, message, tmp_path):
    with pytest.raises(UserError, match=message):
        call(tmp_path)
