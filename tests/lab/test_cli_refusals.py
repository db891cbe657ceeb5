"""Bad command lines: each ends in one sentence on stderr and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from psd_lab import cli


def refused(arguments, capsys):
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("psd: ")
    assert captured.err.count("\n") == 1
    return captured.err


def smoke(*arguments):
    return ["reproduce", "--tier", "smoke", *arguments]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "missing command; see psd --help."),
        (["repoduce"], "no such command 'repoduce' (did you mean 'reproduce'?); see psd --help."),
        (["generate"], "missing argument 'prompt'; see psd generate --help."),
        (["generate", "--modle", "x", "hi"], "no such option: --modle (did you mean '--model'?)"),
        (["generate", "-5"], "no such option: -5 (-- goes before a text that begins with -)"),
        (["generate", "--model"], "option '--model' requires an argument."),
        (["generate", "--model", "a", "--model", "a", "hi"], "'--model' is given 2 times"),
        (["bench", "--items", "few"], "'--items' must be a whole number, got 'few'; see psd bench"),
        (["bench", "--items", "1.5"], "'--items' must be a whole number, got '1.5'"),
        (["bench", "mini-gsm"], "got unexpected extra argument(s) (mini-gsm)"),
        (["train", "--minutes", "x"], "'--minutes' must be a number, got 'x'"),
        (["train", "--device", "gpu"], "'--device': 'gpu' is not one of 'cpu', 'cuda'"),
        (["train", "--fresh=1"], "option '--fresh' does not take a value."),
        (smoke("--limit", "few"), "'--limit' must be a whole number, got 'few'"),
        (smoke("--dtype", "float8"), "'float8' is not one of 'float32'"),
        (["decoders", "psd", "lopa"], "got unexpected extra argument(s) (lopa)"),
    ],
)
def test_wrong_usage_names_the_help_page(arguments, sentence, capsys):
    assert sentence in refused(arguments, capsys)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "threshold={a"], "'{a' is not a value for threshold: expected ',' or '}'"),
        (["-o", "threshold="], "threshold has no value: write threshold=VALUE"),
        (["-o", "threshold"], "'threshold' is not an option: write -o NAME=VALUE."),
        (["-o", "=0.9"], "'=0.9' is not an option: write -o NAME=VALUE."),
        (["-o", "a b=0.9"], "'a b=0.9' is not an option: write -o NAME=VALUE."),
        (["-o", "depth=3", "-o", "depth=4"], "-o depth is given more than once."),
        (["-o", "decoder=psd"], "-o decoder is not an option of a decoder: use --decoder."),
        (["-o", "config=1"], "-o config is not an option of a decoder"),
        (["-o", "threshold=1.5"], "threshold must be a number between 0 and 1, got 1.5."),
        (["-o", "threshold=high"], "threshold must be a number between 0 and 1, got 'high'."),
        (["-o", "depth=-1"], "depth must be a whole number of at least 0"),
        (["-o", "depth=1e1"], "depth must be a whole number of at least 0, got 10.0."),
        (["-o", "temperature=-1e-1"], "temperature must be a number of at least 0, got -0.1."),
        (["-o", "policy=entropi"], "unknown policy 'entropi' (did you mean 'entropy'?)"),
        (["-o", "treshold=0.9"], "no option 'treshold' (did you mean 'threshold'?)"),
        (["-o", "gen_length=100000"], "exceeds the model's"),
        (["--decoder", "spiffi"], "unknown decoder 'spiffi' (did you mean 'spiffy'?); choose"),
        (["--model", "mini-sdr"], "no checkpoint 'mini-sdr' (did you mean 'mini-sdar'?): give"),
        (["--model", "no-such-model"], "no checkpoint 'no-such-model': give a folder"),
        (["--model", ""], "a model is named by a text or a path"),
        (["--model", "/"], "config.json"),
        (["--model", __file__], "no checkpoint"),
        (["hello <|MASK|>"], "contains the mask token"),
        ([""], "prompt 1 is empty"),
        (["\udcff"], "prompt 1 is not text in UTF-8."),
    ],
)
def test_a_decode_that_cannot_be(arguments, sentence, capsys):
    assert sentence in refused(["generate", "hi", *arguments], capsys)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["reproduce", "--tier", "huge"], "Unknown tier 'huge': use one of smoke, mini"),
        (smoke("--notebooks", "99"), "No notebook matches '99'"),
        (smoke("-p", "N"), "'N' is not an option: write -p NAME=VALUE."),
        (smoke("-p", "N=1", "-p", "N=1"), "-p N is given more than once."),
        (smoke("-p", "TEIR=mini"), "has no parameter 'TEIR'"),
        (smoke("-p", "TIER=mini"), "-p TIER=mini would replace --tier smoke: use --tier."),
        (smoke("--in-place", "-p", "N=1"), "--in-place takes no -p"),
        (smoke("--limit", "0"), "limit"),
        (smoke("--limit", "-1"), "limit"),
        (smoke("--models", ","), "--models ',' has an empty entry"),
        (smoke("--models", ""), "--models '' has an empty entry"),
        (smoke("--models", "a,a"), "--models names 'a' more than once."),
        (smoke("--tasks", "mini-gms"), "unknown task 'mini-gms' (did you mean 'mini-gsm'?)"),
        (["reproduce", "--tier", "paper", "--models", "no-such-model"], "'no-such-model'"),
        (["train", "--model", "mini-gpt"], "no training recipe for 'mini-gpt'"),
        (["train", "--minutes", "0"], "minutes must be a positive number"),
        (["train", "--out", ""], "out must be the path of a folder, not ''"),
        (["train", "--out", __file__], "is a file: give a folder"),
        (["train", "--out", str(Path(__file__).parent)], "which psd train did not write"),
        (["tasks", "mini-maths"], "unknown task 'mini-maths'"),
        (["tasks", "gsm8k"], "gsm8k is published data and is not generated here"),
        (["decoders", "pds"], "unknown decoder 'pds' (did you mean 'psd'?)"),
        (["bench", "--items", "100000"], "mini-gsm has 200 validation items, so items=100000"),
        (["bench", "--items", "0"], "items must be a whole number of at least 1"),
        (["bench", "--batch-size", "-1"], "batch_size must be a whole number of at least 1"),
        (["bench", "--cache", "exakt"], "unknown cache 'exakt'"),
        (["bench", "--task", "mini-gms"], "unknown task 'mini-gms' (did you mean 'mini-gsm'?)"),
        (["bench", "--model", "mini-sdra"], "(did you mean 'mini-sdar'?)"),
        (["calibrate", "--items", "2"], "items must be at least 3, one for each task, not 2."),
        (["calibrate", "--items", "100000"], "has 200 validation items"),
        (["calibrate", "--tasks", ","], "--tasks ',' has an empty entry"),
        (["calibrate", "--tasks", "mini-gsm,mini-gsm"], "names 'mini-gsm' more than once"),
        (["calibrate", "--policy", "greddy"], "unknown policy 'greddy' (did you mean 'greedy'?)"),
        (["calibrate", "-o", "depth=3"], "unknown option of greedy 'depth'"),
        (["calibrate", "-o", "items=3"], "unknown option of greedy 'items'"),
        (["calibrate", "--name", "a/b"], "name must be a file's name of letters"),
        (["calibrate", "--nodes", "0"], "nodes must be a whole number of at least 1"),
    ],
)
def test_a_job_that_cannot_be(arguments, sentence, capsys):
    assert sentence in refused(arguments, capsys)


def test_the_exit_code_reaches_the_shell_without_a_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "psd_lab.cli", "tasks", "mini-maths"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("psd: unknown task")
    assert done.stderr.count("\n") == 1
