"""Progress: few lines in a log, silence when asked, a file for kernels."""

import pytest

from psd_lab import progress as module
from psd_lab.progress import FILE_VARIABLE, duration, progress


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
