"""A run as shards: named by content, the same rows by every engine, whatever dies on the way."""

import fcntl
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support import toy

from psd_lab import paths, tasks
from psd_lab.runs import Tier
from psd_lab.runs.engines import InProcess, Processes, Settings, engine
from psd_lab.runs.plans import FILE, RunPlan
from psd_lab.runs.shards import KILLED, Worker
from psd_lab.runs.status import merge, status
from psd_lab.runs.store import read
from psd_lib.errors import UserError
from psd_lib.testing import save_checkpoint, tiny_model

TIER = Tier("toy", 10)
MEASURED = {"model_ms", "loop_ms", "provenance"}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The toy experiment on a checkpoint in a folder; its task is found in other processes, too."""
    monkeypatch.setattr(paths, "TASKS", paths.TASKS)
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setitem(tasks._TASKS, "toy", toy.TOY)
    toy.install(tmp_path / "tasks")
    model = save_checkpoint(tiny_model(), tmp_path / "tiny")
    return replace(toy.CONFIG, models=(str(model),))


@pytest.fixture
def plan(config):
    return RunPlan.of(TIER, [config], size=4)


def rows(results):
    (folder,) = results.glob("rows/*/toy")
    return read(folder).rows


def outcome(results):
    """What a run decoded and scored, as sorted lines, without what was measured."""
    return sorted(
        json.dumps({key: value for key, value in row.items() if key not in MEASURED})
        for row in rows(results).values()
    )


def test_a_plan_names_shards_by_their_content(config, plan):
    assert len(plan.shards) == 3 * 3
    assert [len(shard.examples) for shard in plan.shards[:3]] == [4, 4, 2]
    again = RunPlan.of(TIER, [config, config], size=4)
    assert again == plan
    other = RunPlan.of(Tier("toy", 12), [config], size=4)
    assert {one.id for one in plan.shards} & {one.id for one in other.shards} == {
        one.id for one in plan.shards if len(one.examples) == 4
    }


def test_a_plan_comes_back_from_its_file_and_is_not_replaced_by_another(tmp_path, config, plan):
    folder = tmp_path / "run"
    plan.save(folder)
    assert RunPlan.load(folder) == plan
    plan.save(folder)
    with pytest.raises(UserError, match=r"plan.json is another plan: give another folder"):
        RunPlan.of(TIER, [config], size=5).save(folder)
    assert RunPlan.load(folder) == plan


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: "", "is damaged"),
        (lambda text: text[:-20], "is damaged"),
        (lambda text: "[]", "is damaged"),
        (lambda text: text.replace('"format":1', '"format":9'), "has the format 9"),
        (lambda text: text.replace('"toy/0"', '"toy/20"', 1), "was changed"),
        (lambda text: text.replace('"label"', '"lable"', 1), "is damaged"),
    ],
)
def test_a_damaged_plan_is_one_sentence(tmp_path, plan, change, sentence):
    path = plan.save(tmp_path)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UserError, match=sentence):
        RunPlan.load(tmp_path)
    with pytest.raises(UserError, match=r"There is no plan .*plan.json"):
        RunPlan.load(tmp_path / "none")
    assert path.name == FILE


def test_a_plan_of_other_weights_is_refused(tmp_path, plan):
    save_checkpoint(tiny_model(1), tmp_path / "tiny")
    with pytest.raises(UserError, match=r"changed since the plan was made: make a new plan"):
        list(InProcess().run(plan, Settings(tmp_path / "results")))
    assert not (tmp_path / "results").exists()


def test_parts_of_a_plan_are_its_shards_each_once(plan):
    parts = [plan.part(number, 4) for number in (1, 2, 3, 4)]
    assert sorted(one.id for part in parts for one in part.shards) == sorted(
        one.id for one in plan.shards
    )
    for number in (0, 5):
        with pytest.raises(UserError, match=f"has parts 1 to 4, not {number}"):
            plan.part(number, 4)


@pytest.mark.thorough
def test_every_engine_writes_the_same_rows(tmp_path, plan):
    whole = list(InProcess().run(plan, Settings(tmp_path / "a")))
    assert whole == list(plan.shards)
    for number in (2, 1):
        list(InProcess().run(plan.part(number, 2), Settings(tmp_path / "b")))
    shards = run_elsewhere(tmp_path, "Processes(2)", tmp_path / "c")
    assert sorted(shards) == sorted(one.id for one in plan.shards)
    expected = outcome(tmp_path / "a")
    assert len(expected) == 3 * 10
    assert outcome(tmp_path / "b") == outcome(tmp_path / "c") == expected


DEADLY = """
import os
import psd_lib
generate = psd_lib.generate
def deadly(model, prompts, **options):
    if "w2 w3 w4" in prompts:
        os.kill(os.getpid(), 9)
    return generate(model, prompts, **options)
psd_lib.generate = deadly
"""


@pytest.mark.thorough
def test_an_item_that_kills_its_process_is_found_and_left_alone(tmp_path, config):
    config = replace(config, decoders=({"decoder": "greedy"},))
    plan = RunPlan.of(TIER, [config], size=64)
    results = tmp_path / "results"
    assert run_elsewhere(tmp_path, "Processes(1)", results, DEADLY, 64, 1) == [plan.shards[0].id]
    (folder,) = results.glob("rows/*/toy")
    found = read(folder)
    assert len(found.rows) == 9
    assert {key[1]: crash["crash"] for key, crash in found.crashes.items()} == {"toy/7": KILLED}
    before = sorted(folder.iterdir())
    list(InProcess().run(plan, Settings(results)))
    assert sorted(folder.iterdir()) == before
    list(InProcess().run(plan, Settings(results, retry=True)))
    assert len(rows(results)) == 10


def test_a_shard_that_another_run_is_at_is_left_to_it(tmp_path, plan):
    results = tmp_path / "results"
    item = plan.shards[0].work()
    lock = results / "claims" / f"{item.shard}.lock"
    lock.parent.mkdir(parents=True)
    with Worker(results) as worker:
        with lock.open("w") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            assert not worker.run(item, wait=False)
        assert not list(results.glob("rows/*/toy"))
        assert worker.run(item, wait=False)
        assert not worker.left(item)
    assert len(rows(results)) == 4


def test_completions_can_be_scored_later(tmp_path, plan):
    results = tmp_path / "results"
    list(InProcess().run(plan, Settings(results, score=False)))
    (folder,) = results.glob("rows/*/toy")
    assert (len(read(folder).rows), len(read(folder).unscored)) == (0, 30)
    list(InProcess().run(plan, Settings(results)))
    list(InProcess().run(plan, Settings(tmp_path / "whole")))
    assert outcome(results) == outcome(tmp_path / "whole")
    lines = b"".join(path.read_bytes() for path in folder.iterdir())
    assert lines.count(b'"completion"') == 30


def test_the_state_of_a_run_is_counted_per_cell(tmp_path, plan):
    results = tmp_path / "results"
    state = status(plan, results)
    assert (len(state.cells), state.missing, state.rate) == (3, 30, 0)
    assert state.summary() == "incomplete: 0 of 30 rows, no process is at it"
    list(InProcess().run(plan.part(1, 3), Settings(results)))
    list(InProcess().run(plan.part(2, 3), Settings(results, score=False)))
    state = status(plan, results)
    assert [(cell.planned, cell.rows, cell.unscored) for cell in state.cells] == [(10, 4, 4)] * 3
    assert state.summary() == (
        "incomplete: 12 of 30 rows, 12 decoded and not scored, no process is at it"
    )
    list(InProcess().run(plan, Settings(results)))
    assert status(plan, results).summary() == "complete: 30 of 30 rows"


def test_a_run_that_is_at_work_has_a_rate_and_an_item_that_fails_is_named(
    tmp_path, plan, monkeypatch
):
    results = tmp_path / "results"
    shards = InProcess().run(plan, Settings(results))
    for _ in range(2):
        next(shards)
    state = status(plan, results)
    assert state.rate > 0
    assert "rows a second, about" in state.summary()
    shards.close()
    assert status(plan, results).rate == 0

    def broken(*_, **__):
        raise IndexError("index 7")

    monkeypatch.setattr("psd_lib.generate", broken)
    with pytest.raises(UserError, match="5 items in a row"):
        list(InProcess().run(plan, Settings(results)))
    state = status(plan, results)
    assert sum(cell.crashed for cell in state.cells) == 5
    assert state.summary().endswith("last error: IndexError: index 7")


def test_rows_of_two_machines_come_together(tmp_path, plan):
    here, there = tmp_path / "here", tmp_path / "there"
    for results, number in ((here, 1), (there, 2)):
        list(InProcess().run(plan.part(number, 2), Settings(results)))
    assert merge(there, here).startswith("1 of 1 row files were new")
    assert merge(there, here).startswith("0 of 1 row files were new")
    assert status(plan, here).missing == 0
    list(InProcess().run(plan, Settings(tmp_path / "whole")))
    assert outcome(here) == outcome(tmp_path / "whole")
    (path,) = there.glob("rows/*/*/*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines[2:]]))
    with pytest.raises(UserError, match=r"differs from .*: one of them was changed by hand"):
        merge(there, here)
    with pytest.raises(UserError, match="has no rows: give a results folder"):
        merge(tmp_path / "nowhere", here)


def test_a_scorer_that_breaks_loses_no_completion(tmp_path, plan, monkeypatch):
    def broken(completion, example):
        raise UserError("no sandbox here")

    monkeypatch.setitem(tasks._TASKS, "toy", replace(toy.TOY, judge=broken))
    with pytest.raises(UserError, match="no sandbox here"):
        list(InProcess().run(plan, Settings(tmp_path / "results")))
    (folder,) = (tmp_path / "results").glob("rows/*/toy")
    assert len(read(folder).unscored) == 4


@pytest.mark.thorough
def test_a_run_that_is_told_to_end_ends_with_its_workers(tmp_path, config):
    slow = DEADLY.replace("os.kill(os.getpid(), 9)", "import time; time.sleep(600)")
    command, environment = script(tmp_path, "Processes(1)", tmp_path / "results", slow, 1, 1)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(7):  # toy/7 is the one that never ends
            assert process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.terminate()
        assert process.wait(60) != 0
    finally:
        process.kill()
        process.stdout.close()
    deadline = time.monotonic() + 60
    while any(alive(one) for one in children) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [one for one in children if alive(one)]
    assert len(rows(tmp_path / "results")) >= 7


def alive(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_more_gpus_than_there_are_is_one_sentence(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match=r"8 GPUs were asked for, and torch .* sees 1 here"):
        engine(1, 8)
    assert engine(1, 1) == Processes(1, (0,))
    assert engine(3) == Processes(3)


SCRIPT = """
from dataclasses import replace
from pathlib import Path
from support import toy

toy.install(Path({tasks!r}))

if __name__ == "__main__":
    from psd_lab.interrupts import sigterm_as_interrupt
    from psd_lab.runs import Tier
    from psd_lab.runs.engines import InProcess, Processes, Settings
    from psd_lab.runs.plans import RunPlan

    decoders = toy.CONFIG.decoders[:{decoders}]
    config = replace(toy.CONFIG, models=({model!r},), decoders=decoders)
    plan = RunPlan.of(Tier("toy", 10), [config], size={size})
    with sigterm_as_interrupt():
        for shard in {engine}.run(plan, Settings(Path({results!r}))):
            print(shard.id, flush=True)
"""


def script(tmp_path, chosen, results, before="", size=4, decoders=9):
    """The command that runs the plan in a process of its own, which its workers import."""
    path = tmp_path / "script.py"
    names = {"tasks": str(tmp_path / "tasks"), "model": str(tmp_path / "tiny")}
    text = SCRIPT.format(**names, engine=chosen, results=str(results), size=size, decoders=decoders)
    path.write_text(before + text, encoding="utf-8")
    folders = [str(Path(toy.__file__).parents[1]), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OMP_NUM_THREADS": "1"}
    return [sys.executable, str(path)], environment


def run_elsewhere(tmp_path, *arguments):
    command, environment = script(tmp_path, *arguments)
    done = subprocess.run(
        command, env=environment, check=True, timeout=300, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.split()
