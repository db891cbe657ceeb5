"""Several processes decode what one would, and decoders stand in experiments of the models that
they fit.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import toy

from psd_lab import paths, tasks
from psd_lab.runs import ExperimentConfig, Tier
from psd_lab.runs.checkpoints import in_memory
from psd_lab.runs.experiments import collect, plan
from psd_lab.runs.parallel import default_workers

CONFIG = """question: do two processes decode what one does?
models: [mini-sdar-b8, mini-ar]
tasks: [mini-gsm, mini-mbpp]
options: {gen_length: 12, cache: exact}
decoders: [{decoder: confidence}]
"""
SCRIPT = """from psd_lab.runs import ExperimentConfig, Tier
from psd_lab.runs.parallel import decode

if __name__ == "__main__":
    config = ExperimentConfig.load("mine")
    decode(Tier("two", 2), [config, config], workers=2)
"""


@pytest.fixture
def project(tmp_path):
    """A project of its own with this one's models and tasks, and one experiment."""
    (tmp_path / "data" / "configs").mkdir(parents=True)
    (tmp_path / "data" / "configs" / "mine.yaml").write_text(CONFIG)
    for name in ("models", "tasks"):
        (tmp_path / "data" / name).symlink_to(paths.DATA / name)
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


@pytest.mark.thorough
def test_two_processes_decode_what_one_does(project):
    environment = {**os.environ, "PSD_HOME": str(project), "PYTHONPATH": str(paths.ROOT)}
    subprocess.run(
        [sys.executable, project / "script.py"], env=environment, check=True, timeout=300
    )
    config, written = (
        ExperimentConfig.load("mine", project / "data" / "configs"),
        project / "data" / "results",
    )
    files = sorted(written.glob("rows/*/*/*.jsonl"))
    lines = b"".join(path.read_bytes() for path in files)
    assert lines.count(b'"completion"') == lines.count(b'"correct"') == 8  # each row once
    found = collect(config, Tier("two", 2), written)
    assert sorted(written.glob("rows/*/*/*.jsonl")) == files
    alone = collect(config, Tier("two", 2), project / "alone")
    assert found.rows.keys() == alone.rows.keys() and len(found.rows) == 8
    assert all(
        row["token_ids_hash"] == alone.rows[key]["token_ids_hash"]
        for key, row in found.rows.items()
    )


@pytest.mark.thorough
def test_workers_end_with_a_parent_that_is_killed(project):
    endless = CONFIG.replace("gen_length: 12", "gen_length: 128")
    (project / "data" / "configs" / "mine.yaml").write_text(endless)
    environment = {
        **os.environ,
        "PSD_HOME": str(project),
        "PYTHONPATH": str(paths.ROOT),
        "OMP_NUM_THREADS": "1",
    }
    (project / "script.py").write_text(SCRIPT.replace('Tier("two", 2)', 'Tier("many", 400)'))
    parent = subprocess.Popen([sys.executable, project / "script.py"], env=environment)
    try:
        assert wait_for(lambda: list(project.glob("data/results/rows/*/*/*.jsonl")), 240)
        workers = children(parent.pid)
        assert workers
    finally:
        parent.kill()
        parent.wait()
    assert wait_for(lambda: not any(alive(pid) for pid in workers), 60)


def children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.2)
    return bool(found)


def test_only_small_models_share_the_cores():
    config = ExperimentConfig(
        "mine", "?", ("mini-sdar", "mini-ar"), ("mini-gsm",), ({"decoder": "greedy"},)
    )
    large = ExperimentConfig(
        "mine", "?", ("mini-sdar", "GSAI-ML/LLaDA-1.5"), ("mini-gsm",), ({"decoder": "greedy"},)
    )
    assert default_workers([large]) == 1
    assert default_workers([config]) == (
        1 if __import__("torch").cuda.is_available() else os.cpu_count()
    )


def test_a_decoder_runs_on_the_models_that_it_fits_and_takes_their_name(tmp_path, monkeypatch):
    from psd_lib.testing import tiny_model

    monkeypatch.setattr(paths, "TASKS", paths.TASKS)
    monkeypatch.setitem(tasks._TASKS, "toy", toy.TOY)
    toy.install(tmp_path)
    decoders = (
        {"decoder": "greedy"},
        {"decoder": "wino", "only": "bidirectional"},
        {"decoder": "margin", "only": "block_causal"},
        {
            "decoder": "spiffy",
            "builder": "calibrated",
            "graph": "{model}-greedy",
            "only": "unshifted",
        },
    )
    config = ExperimentConfig("mine", "?", ("tiny",), ("toy",), decoders)
    model = in_memory(tiny_model())
    items = plan(config, model, "toy", Tier("one", 1))
    assert not model.family.sees_future and not model.family.shift
    assert [item.config.decoder for item in items] == ["greedy", "margin", "spiffy"]
    assert items[-1].config.drafter.graph == f"{model.name}-greedy"
    assert [one["decoder"] for one in config.expand()] == ["greedy", "wino", "margin", "spiffy"]
