"""The command: its help, what it prints, and how it exits."""

import errno
import os
import subprocess
import sys
import time

import pytest

import psd_lib
from psd_lab import cli, listings, paths, tasks
from psd_lab.cli import calibrate, familiar
from psd_lab.tasks import fixed
from psd_lib import DECODERS, POLICIES
from psd_lib.models import SUPPORTED

OPTIONS = {
    "generate": ["--model", "--revision", "--decoder", "--option", "-o"],
    "decoders": [],
    "methods": [],
    "models": [],
    "reproduce": [
        *("--tier", "--notebooks", "--limit", "--models", "--tasks", "--profile", "--data-dir"),
        *("--dtype", "--dry-run", "--parameter", "-p", "--in-place"),
    ],
    "tasks": [],
    "bench": ["--model", "--task", "--items", "--batch-size", "--repeats", "--cache"],
    "plan": ["--tier", "--limit", "--models", "--tasks", "--profile", "--data-dir", "--dtype"],
    "run": ["--workers", "--gpus", "--score", "--no-score", "--retry", "--results"],
    "run-shard": ["--score", "--no-score", "--retry", "--results"],
    "status": ["--results"],
    "merge": ["--results"],
    "train": ["--model", "--out", "--minutes", "--device", "--fresh"],
    "calibrate": [
        *("--model", "--tasks", "--items", "--policy", "--option", "-o", "--nodes", "--name")
    ],
}


def psd(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "psd_lab.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_help_takes_less_than_two_seconds_and_imports_nothing_heavy():
    probe = (
        "import sys; from psd_lab.cli import main; main(['--help']);"
        " sys.exit(bool({'torch', 'pandas', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    seconds = []
    for _ in range(3):
        start = time.monotonic()
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
        seconds.append(time.monotonic() - start)
        assert done.returncode == 0
    assert min(seconds) < 2
    assert [command for command in OPTIONS if command not in done.stdout] == []


def test_the_version_is_printed():
    done = psd("--version")
    assert (done.returncode, done.stdout) == (0, f"psd {psd_lib.__version__}\n")


@pytest.mark.parametrize("command", OPTIONS)
def test_every_command_explains_its_options_within_80_columns(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert [option for option in OPTIONS[command] if option not in printed] == []
    assert max(map(len, printed.splitlines())) <= 80


def test_an_interrupt_says_that_work_is_kept(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(listings, "decoders", interrupted)
    assert cli.main(["decoders"]) == 130
    assert "finished work is kept" in capsys.readouterr().err


def test_output_that_nobody_reads_ends_without_a_word():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "psd_lab.cli", "tasks"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "")


def test_a_full_disk_is_one_sentence():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "psd_lab.cli", "tasks"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr == (
        "psd: cannot read or write a file or the output: No space left on device.\n"
    )


def test_text_that_stdout_cannot_show_is_escaped():
    code = "from psd_lab.cli import app; app._open_stdout(); print('grün')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "gr\\xfcn\n"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("decoders", [*DECODERS, *POLICIES]),
        ("methods", [*DECODERS, "2605.15609"]),
        ("tasks", tasks.names()),
        ("models", ["mini-sdar", *SUPPORTED]),
    ],
)
def test_decoders_methods_tasks_and_models_are_listed(command, expected, capsys):
    assert cli.main([command]) == 0
    printed = capsys.readouterr().out
    assert [name for name in expected if name not in printed] == []


def test_a_piped_row_is_one_line_with_all_its_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert cli.main(["models"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    rows = {line[0]: line[1:] for line in lines}
    assert rows["GSAI-ML/LLaDA-1.5"] == ["llada", "32", "16.0", "GB", "main"]
    assert rows["JetLM/SDAR-4B-Chat-b64"] == ["sdar", "64", "8.8", "GB", "6d87c0c"]


def test_a_narrowed_run_says_where_its_results_go(monkeypatch, capsys):
    from psd_lab.runs import reproduce as job

    asked = []
    monkeypatch.setattr(job, "reproduce", lambda tier, *rest: asked.append(tier) or ["done"])
    assert cli.main(["reproduce", "--tier", "smoke"]) == 0
    assert capsys.readouterr().out == "done\n"
    narrow = ["--models", "mini-sdar, x", "--tasks", "mini-gsm", "--limit", "2"]
    assert cli.main(["reproduce", "--tier", "smoke", *narrow]) == 0
    said = capsys.readouterr().out
    plain, narrowed = asked
    assert (plain.name, narrowed.models, narrowed.tasks, narrowed.limit) == (
        "smoke",
        ("mini-sdar", "x"),
        ("mini-gsm",),
        2,
    )
    assert f"are in {narrowed.folder}; those of tier smoke stayed as they were" in said


def test_parameters_of_notebooks_keep_their_types(monkeypatch):
    from psd_lab.runs import reproduce as job

    asked = []
    monkeypatch.setattr(job, "reproduce", lambda *given: asked.append(given) or [])
    given = ["-p", "SHARE=1e-1", "-p", "NAMES=[a, b]", "-p", "ON=true"]
    assert cli.main(["reproduce", "--tier", "smoke", *given]) == 0
    assert asked[0][3] == {"SHARE": 0.1, "NAMES": ["a", "b"], "ON": True}


def test_generate_prints_the_completion_and_nothing_else_on_stdout(capsys):
    prompt = tasks.get("mini-gsm").load("test", 1)[0].prompt
    assert cli.main(["generate", "-o", "gen_length=32", "-o", "depth=1", prompt]) == 0
    captured = capsys.readouterr()
    model = psd_lib.load("mini-sdar")
    assert captured.out == psd_lib.generate(model, prompt, gen_length=32, depth=1).text[0] + "\n"
    assert captured.err.startswith("[psd(confidence 0.9, d=1): ")


def test_an_embedded_model_that_is_asked_something_else_says_what_it_knows(capsys):
    assert cli.main(["generate", "-o", "gen_length=8", "What is the capital of France?"]) == 0
    assert "note: mini-sdar was trained on three small tasks only" in capsys.readouterr().err


@pytest.mark.parametrize("task", tasks.embedded())
@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_prompt_of_the_embedded_tasks_is_familiar(task, split):
    prompts = [example.prompt for example in tasks.get(task).load(split)]
    assert list(familiar.unfamiliar("mini-sdar", prompts)) == []
    without = [prompt.removesuffix("\n") for prompt in prompts]
    (note,) = familiar.unfamiliar("mini-sdar", without)
    assert "end with a line break" in note


@pytest.mark.parametrize("prompt", ["", "hi", "How many?\n", "def f(x):\n", "Write a function.\n"])
def test_other_prompts_are_not_familiar(prompt):
    assert not familiar.familiar(prompt)


def test_calibrate_writes_a_graph_that_decoders_take(tmp_path, monkeypatch, capsys):
    from psd_lab import calibration

    folder = tmp_path / "graphs"
    monkeypatch.setattr(paths, "GRAPHS", folder)
    small = ["--items", "2", "--tasks", "mini-mbpp", "--nodes", "3", "-o", "gen_length=16"]
    assert cli.main(["calibrate", "--model", "mini-sdar-b8", *small]) == 0
    assert "states from" in capsys.readouterr().out
    graph = calibration.load("mini-sdar-b8-greedy", folder)
    assert 1 <= len(graph.formulas) <= 3
    assert len(graph.provenance["tasks"]["mini-mbpp"]["items"]) == 2
    file = str(folder / "mini-sdar-b8-greedy.json")
    options = {"drafter": "calibrated", "graph": file, "depth": 1, "gen_length": 16}
    prompt = "Write a function that adds two numbers."
    model = psd_lib.load("mini-sdar-b8")
    drafted, alone = (
        psd_lib.generate(model, prompt, name, **more)
        for name, more in (("spiffy", options), ("greedy", {"gen_length": 16}))
    )
    assert drafted[0].tokens == alone[0].tokens


def test_calibrate_looks_whether_it_can_write_before_it_decodes(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr(paths, "GRAPHS", tmp_path / "file")
    monkeypatch.setattr(psd_lib, "load", lambda *_: pytest.fail("loaded a model"), raising=False)
    assert cli.main(["calibrate", "--items", "3"]) == 2
    assert "cannot be created (File exists)" in capsys.readouterr().err


def test_a_disk_that_is_full_while_tasks_are_written_is_one_sentence(tmp_path, monkeypatch, capsys):
    def full(task):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(paths, "TASKS", tmp_path)
    monkeypatch.setattr(fixed, "write", full)
    assert cli.main(["tasks", "mini-gsm"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"psd: {tmp_path}/mini-gsm cannot be written (No space left on device)")


def test_the_options_of_calibrate_are_those_of_the_bare_policy():
    assert calibrate.option_names("local_leap")[2:5] == ["threshold", "relaxed_threshold", "radius"]
    assert not {"depth", "k", "policy", "stop"} & set(calibrate.option_names("greedy"))


def test_names_are_completed_in_the_shell(tmp_path):
    asked = {
        "psd ge": "generate",
        "psd generate --mod": "--model",
        "psd generate --model mini-l": "mini-llada",
        "psd tasks mini-h": "mini-humaneval",
        "psd reproduce --tier sm": "smoke",
        "psd reproduce --notebooks 2": "20_spatial_only",
    }
    for line, expected in asked.items():
        environment = {
            **os.environ,
            "_PSD_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - 1),
        }
        done = psd(env=environment)
        assert expected in done.stdout.split(), line
