"""Progress: few lines in a log, silence when asked, a file for kernels."""

import io
import os
import re
import subprocess
import sys

import pytest

from psd_lab import progress as module
from psd_lab.progress import FILE_VARIABLE, duration, progress, reported


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch):
    """A terminal in the place of stderr; not a fixture, as pytest sets stderr anew after those."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    for name, value in {"COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    return screen


def shown(screen):
    """The text of a terminal's output, without colours and movements of the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())


@pytest.fixture(autouse=True)
def loud(monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)


@pytest.mark.parametrize("total", [0, 1, 7, 10, 11, 1000])
def test_a_log_gets_at_most_about_ten_lines_and_the_last_one(total, capsys):
    assert list(progress(range(total), label="work")) == list(range(total))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 11
    assert [line.split(",")[0] for line in lines[-1:]] == [f"work: {total}/{total}"] * (total > 0)


def test_a_stream_of_unknown_length_gets_ever_fewer_lines(capsys):
    assert sum(1 for _ in progress(iter(range(1000)))) == 1000
    assert 1 <= len(capsys.readouterr().err.splitlines()) <= 12


@pytest.mark.parametrize(
    ("value", "said"), [("1", False), ("true", False), ("0", True), ("", True)]
)
def test_tqdm_disable_silences(monkeypatch, capsys, value, said):
    monkeypatch.setenv("TQDM_DISABLE", value)
    list(progress(range(3)))
    assert bool(capsys.readouterr().err) == said


def test_a_named_file_gets_the_lines_even_when_silenced(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "lines"))
    list(progress(range(2), label="work"))
    assert capsys.readouterr().err == ""
    assert [line.split(",")[0] for line in (tmp_path / "lines").read_text().splitlines()] == [
        "work: 1/2",
        "work: 2/2",
    ]


def test_a_terminal_gets_a_bar_with_the_figures_of_a_line(monkeypatch):
    screen = terminal(monkeypatch)
    assert list(progress(range(3), label="work [x]")) == [0, 1, 2]
    assert re.search(r"work \[x\] ━+ 3/3, 0\.0 s, \S+ a second", shown(screen))


def test_a_bar_inside_a_bar_goes_away_when_it_is_done(monkeypatch):
    screen = terminal(monkeypatch)
    for _ in progress(range(2), label="outer"):
        assert list(progress(range(3), label="inner")) == [0, 1, 2]
    last = shown(screen).splitlines()[-1]
    assert "outer" in last and "2/2" in last and "inner" not in last


def test_a_bar_that_is_left_early_lets_the_next_one_begin(monkeypatch):
    screen = terminal(monkeypatch)
    for _ in range(2):
        steps = progress(range(3), label="work")
        next(steps)
        steps.close()
    assert list(progress(range(1), label="next")) == [0]
    assert "next" in shown(screen).splitlines()[-1]


CHILD = "from psd_lab.progress import progress; list(progress(range(1), label='child'))"


def test_lines_of_other_processes_are_shown_between_those_of_this_one(capsys):
    with reported():
        for _ in progress(range(1), label="parent"):
            subprocess.run([sys.executable, "-c", CHILD], check=True)
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert sorted(lines) == ["  child: 1/1", "parent: 1/1"]
    assert {"TQDM_DISABLE", FILE_VARIABLE} & set(os.environ) == set()


def test_where_progress_is_silenced_other_processes_are_too(monkeypatch, capsys):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with reported():
        for _ in progress(range(1), label="parent"):
            subprocess.run([sys.executable, "-c", CHILD], check=True)
    assert capsys.readouterr().err == ""


def test_whoever_asks_for_the_lines_of_other_processes_gets_them(capsys):
    lines = []
    with reported(lines.append):
        subprocess.run([sys.executable, "-c", CHILD], check=True)
    assert [line.split(",")[0] for line in lines] == ["child: 1/1"]
    assert capsys.readouterr().err == ""


def test_lines_come_when_items_are_done_not_before(capsys):
    steps = progress(range(2), label="work")
    next(steps)
    assert capsys.readouterr().err == ""
    next(steps)
    assert capsys.readouterr().err.startswith("work: 1/2")


def test_a_line_says_the_rate_and_the_time_left(monkeypatch, capsys):
    clock = iter([0.0, 20.0, 40.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    list(progress(range(2), label="work"))
    assert capsys.readouterr().err.splitlines() == [
        "work: 1/2, 20 s, 20 s each, 20 s left",
        "work: 2/2, 40 s, 20 s each",
    ]


def test_slow_work_is_heard_of_before_its_tenth_is_done(monkeypatch, capsys):
    clock = iter([0.0, 100.0, 400.0, 450.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    steps = progress(range(1000), label="work")
    for _ in range(4):
        next(steps)
    assert capsys.readouterr().err.splitlines() == ["work: 2/1000, 7 min, 3 min each, 55.4 h left"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (99.6, "100 s"),
        (100, "2 min"),
        (5999, "100 min"),
        (6000, "1.7 h"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said
