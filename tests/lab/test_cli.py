"""The command: what it prints, what it refuses, and how it exits."""

import subprocess
import sys

import pytest

import psd_lib
from psd_lab import cli


def psd(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "psd_lab.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_version_and_help_are_instant_and_import_no_torch():
    probe = (
        "import sys, psd_lab.cli as c; c._parser(); sys.exit('torch' in sys.modules or 'pandas' in"
        " sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", probe]).returncode == 0
    done = psd("--version")
    assert (done.returncode, done.stdout) == (0, f"psd {psd_lib.__version__}\n")
    for command in ("reproduce", "generate", "train", "tasks", "decoders", "models", "bench"):
        assert command in psd("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["reproduce", "--tier", "huge"], "Unknown tier 'huge': use one of smoke, mini"),
        (["reproduce", "--tier", "smoke", "--notebooks", "99"], "No notebook matches '99'"),
        (["reproduce", "--tier", "smoke", "-p", "N"], "'N' is not an option: write NAME=VALUE"),
        (["reproduce", "--tier", "smoke", "-p", "TEIR=mini"], "has no parameter 'TEIR'"),
        (["reproduce", "--tier", "smoke", "-p", "TIER=3"], "must be str, not 3"),
        (["reproduce", "--tier", "smoke", "--limit", "0"], "limit"),
        (["reproduce", "--tier", "smoke", "--models", ","], "models of tier 'smoke'"),
        (
            ["reproduce", "--tier", "smoke", "--dry-run", "--tasks", "mini-maths"],
            "Unknown task 'mini-maths'",
        ),
        (
            ["reproduce", "--tier", "paper", "--dry-run", "--models", "no-such-model"],
            "no checkpoint 'no-such-model'",
        ),
        (["generate", "--model", "no-such-model", "hello"], "no checkpoint 'no-such-model'"),
        (["generate", "--decoder", "spiffi", "hello"], "unknown decoder 'spiffi'"),
        (["generate", "-o", "policy=entropi", "hello"], "unknown policy 'entropi'"),
        (
            ["generate", "-o", "threshold=1.5", "hello"],
            "threshold must be a number between 0 and 1",
        ),
        (["generate", "-o", "depth=-1", "hello"], "depth must be a whole number of at least 0"),
        (["generate", ""], "prompt 0 is empty"),
        (["generate", "hello <|MASK|>"], "contains the mask token"),
        (["generate", "-o", "gen_length=100000", "hello"], "exceeds the model's"),
        (["train", "--model", "mini-gpt"], "no training recipe for 'mini-gpt'"),
        (["tasks", "mini-maths"], "Unknown task 'mini-maths': use one of mini-gsm"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, sentence, capsys):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_the_exit_code_reaches_the_shell_without_a_traceback():
    done = psd("generate", "--model", "no-such-model", "hello")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["repoduce"], ["generate"], ["reproduce", "--limit", "few"]]
)
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    assert exit_.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_an_interrupt_says_that_work_is_kept(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_decoders", interrupted)
    assert cli.main(["decoders"]) == 130
    assert "finished work is kept" in capsys.readouterr().err


def test_decoders_tasks_and_models_are_listed(capsys):
    from psd_lab import tasks
    from psd_lib import DECODERS, POLICIES
    from psd_lib.models import SUPPORTED

    for command, expected in (
        ("decoders", [*DECODERS, *POLICIES]),
        ("tasks", tasks.names()),
        ("models", ["mini-sdar", *SUPPORTED]),
    ):
        assert cli.main([command]) == 0
        printed = capsys.readouterr().out
        assert [name for name in expected if name not in printed] == []
    lines = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line}
    assert lines["GSAI-ML/LLaDA-1.5"] == ["llada", "32", "16.0", "GB", "main"]
    assert lines["JetLM/SDAR-4B-Chat-b64"] == ["sdar", "64", "8.8", "GB", "6d87c0c"]


def test_a_narrowed_run_says_where_its_results_go(monkeypatch, capsys):
    from psd_lab.runs import reproduce as job

    asked = []
    monkeypatch.setattr(job, "reproduce", lambda tier, *rest: asked.append(tier) or ["done"])
    assert cli.main(["reproduce", "--tier", "smoke"]) == 0
    assert capsys.readouterr().out == "done\n"
    assert (
        cli.main(
            [
                "reproduce",
                "--tier",
                "smoke",
                "--models",
                "mini-sdar, x",
                "--tasks",
                "mini-gsm",
                "--limit",
                "2",
            ]
        )
        == 0
    )
    said = capsys.readouterr().out
    plain, narrowed = asked
    assert (plain.name, narrowed.models, narrowed.tasks, narrowed.limit) == (
        "smoke",
        ("mini-sdar", "x"),
        ("mini-gsm",),
        2,
    )
    assert f"are in {narrowed.folder}; those of tier smoke stayed as they were" in said


def test_generate_prints_the_completion_and_nothing_else_on_stdout(capsys):
    prompt = __import__("psd_lab.tasks", fromlist=["get"]).get("mini-gsm").load("test", 1)[0].prompt
    assert cli.main(["generate", "-o", "gen_length=32", "-o", "depth=1", prompt]) == 0
    captured = capsys.readouterr()
    model = psd_lib.load("mini-sdar")
    assert captured.out == psd_lib.generate(model, prompt, gen_length=32, depth=1).text[0] + "\n"
    assert "psd(confidence 0.9, d=1): " in captured.err


def test_calibrate_writes_a_graph_that_decoders_take(tmp_path, monkeypatch, capsys):
    from psd_lab.calibration import files

    monkeypatch.setattr(files, "GRAPHS", tmp_path)
    small = ["--items", "2", "--tasks", "mini-mbpp", "--nodes", "3", "-o", "gen_length=16"]
    assert cli.main(["calibrate", "--model", "mini-sdar-b8", *small]) == 0
    assert "states from" in capsys.readouterr().out
    graph = files.load("mini-sdar-b8-greedy")
    assert (
        1 <= len(graph.formulas) <= 3 and len(graph.provenance["tasks"]["mini-mbpp"]["items"]) == 2
    )
    options = {
        "builder": "calibrated",
        "graph": "mini-sdar-b8-greedy",
        "depth": 1,
        "gen_length": 16,
    }
    prompt = "Write a function that adds two numbers."
    model = psd_lib.load("mini-sdar-b8")
    drafted, alone = (
        psd_lib.generate(model, prompt, name, **more)
        for name, more in (("spiffy", options), ("greedy", {"gen_length": 16}))
    )
    assert drafted[0].tokens == alone[0].tokens
    assert cli.main(["calibrate", "--model", "mini-sdar-b8", "--policy", "credits"]) == 2
    assert "policy" in capsys.readouterr().err
