"""What rows survive: kills, damage, two runs at once."""

import gzip
import json

import pytest

from psd_lab.runs import store
from psd_lab.runs.store import Attempt, publish, read, read_published
from psd_lib.errors import UserError


def row(example, config="c1", tokens="t1", **more):
    return {"config_hash": config, "example_id": example, "token_ids_hash": tokens, **more}


def attempt(folder, *rows, commit="abc"):
    with Attempt(folder, {"commit": commit}) as one:
        one.append(rows)
        return folder / one.file.name


def test_rows_come_back_with_the_run_they_came_from(tmp_path):
    attempt(tmp_path, row("a"), row("b", answer="é\ud800"))
    contents = read(tmp_path)
    assert set(contents.rows) == {("c1", "a"), ("c1", "b")}
    assert contents.rows["c1", "b"]["answer"] == "é\ud800"
    assert contents.provenance[contents.rows["c1", "a"]["provenance"]] == {"commit": "abc"}


def test_no_file_appears_before_the_first_row(tmp_path):
    with Attempt(tmp_path / "rows", {}):
        pass
    assert not (tmp_path / "rows").exists()


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_torn_last_line_is_ignored_and_the_rest_intact(tmp_path, cut):
    path = attempt(tmp_path, row("a"), row("b"), row("c"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert set(read(tmp_path).rows) == {("c1", "a"), ("c1", "b")}
    attempt(tmp_path, row("c"))
    assert len(read(tmp_path).rows) == 3
    assert path.read_bytes() == whole[:-cut]


@pytest.mark.parametrize(
    "damage",
    [b'{"config_hash": "c1", "exa', b"\0" * 50, b"[1, 2]", b"3", b"", b'{"config_hash": "c1"}'],
)
def test_damage_inside_is_one_sentence_with_file_line_and_remedy(tmp_path, damage):
    path = attempt(tmp_path, row("a"), row("b"), row("c"))
    lines = path.read_bytes().splitlines()
    lines[2] = damage
    path.write_bytes(b"\n".join(lines) + b"\n")
    before = path.read_bytes()
    with pytest.raises(
        UserError, match=f"{path.name} line 3 is not a result row: delete that line"
    ):
        read(tmp_path)
    assert path.read_bytes() == before
    path.write_bytes(b"\n".join(lines[:2] + lines[3:]) + b"\n")
    assert set(read(tmp_path).rows) == {("c1", "a"), ("c1", "c")}


def test_two_attempts_at_once_are_read_as_their_union_and_the_first_row_counts(tmp_path):
    with Attempt(tmp_path, {"commit": "1"}) as first, Attempt(tmp_path, {"commit": "2"}) as second:
        first.append([row("a", ms=1)])
        second.append([row("a", ms=2), row("b")])
        first.append([row("b"), row("c", tokens="x")])
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    attempt(tmp_path, row("c", tokens="y"))
    contents = read(tmp_path)
    assert len(contents.rows) == 3
    assert contents.conflicts == {("c1", "c")}
    assert len(contents.provenance) == 3


def test_not_a_number_is_refused_rather_than_written(tmp_path):
    with Attempt(tmp_path, {}) as one, pytest.raises(ValueError, match=r"JSON"):
        one.append([row("a", ms=float("nan"))])


def test_published_rows_are_the_same_bytes_in_any_order(tmp_path):
    rows = [
        row(e, model="m", task="t", label=label, provenance="p")
        for e in "ab"
        for label in ("x", "y")
    ]
    rows = [{**one, "config_hash": one["label"]} for one in rows]
    publish(tmp_path / "rows.jsonl.gz", rows, {"p": {"commit": "abc"}, "unused": {}})
    first = (tmp_path / "rows.jsonl.gz").read_bytes()
    publish(tmp_path / "rows.jsonl.gz", rows[::-1], {"p": {"commit": "abc"}})
    assert (tmp_path / "rows.jsonl.gz").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl.gz"]
    contents = read_published(tmp_path / "rows.jsonl.gz")
    assert len(contents.rows) == 4
    assert contents.provenance == {"p": {"commit": "abc"}}


def test_an_interrupted_export_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl.gz"
    one = row("a", model="m", task="t", label="x", provenance="p")
    publish(path, [one], {"p": {}})

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        publish(path, [one, {**one, "example_id": "b"}], {"p": {}})
    assert len(read_published(path).rows) == 1


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(json.dumps(row("a")).encode() + b"\n", mtime=0)[:-6]],
    ids=["no gzip", "cut short"],
)
def test_a_damaged_published_file_is_named(tmp_path, content):
    (tmp_path / "rows.jsonl.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"rows\.jsonl\.gz is damaged"):
        read_published(tmp_path / "rows.jsonl.gz")
    with pytest.raises(UserError, match=r"does not exist"):
        read_published(tmp_path / "none.jsonl.gz")
