"""What rows survive: kills, damage, two runs at once."""

import errno
import gzip
import json
import os

import pytest
from support.toy import row

from psd_lab import files
from psd_lab.runs.store import LOST, Reader, RowSet, RunFile, publish, read, read_published
from psd_lib.errors import UserError


def write(folder, *rows, commit="abc"):
    """Write rows as a run does that is killed after them."""
    with RunFile(folder, {"commit": commit}) as one:
        one.append(rows)
        path = folder / one.file.name
    *lines, closed = lines_of(path)
    assert b"closed" in closed
    path.write_bytes(b"".join(lines))
    return path


def lines_of(path):
    return path.read_bytes().splitlines(keepends=True)


def test_rows_come_back_with_the_run_they_came_from(tmp_path):
    write(tmp_path, row("a"), row("b", answer="é\ud800"))
    contents = read(tmp_path)
    assert set(contents.rows) == {("c1", "a"), ("c1", "b")}
    assert contents.rows["c1", "b"]["answer"] == "é\ud800"
    assert contents.provenance[contents.rows["c1", "a"]["provenance"]] == {"commit": "abc"}


def test_no_file_appears_before_the_first_row(tmp_path):
    with RunFile(tmp_path / "rows", {}):
        pass
    assert not (tmp_path / "rows").exists()


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_torn_last_line_is_ignored_and_the_rest_intact(tmp_path, cut):
    path = write(tmp_path, row("a"), row("b"), row("c"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert set(read(tmp_path).rows) == {("c1", "a"), ("c1", "b")}
    write(tmp_path, row("c"))
    assert len(read(tmp_path).rows) == 3
    assert path.read_bytes() == whole[:-cut]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (b'{"config_hash": "c1", "exa', "it has no checksum"),
        (b"\0" * 50, "it has no checksum"),
        (b"", "it has no checksum"),
        (b'{"config_hash":"c1","crc":"00000000"}', "its checksum does not fit"),
    ],
)
def test_damage_inside_is_one_sentence_with_file_line_and_remedy(tmp_path, damage, why):
    path = write(tmp_path, row("a"), row("b"), row("c"))
    lines = lines_of(path)
    lines[2] = damage + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(UserError, match=rf"{path.name} line 3 .*{why}.*: delete that line"):
        read(tmp_path)
    assert lines_of(path) == lines
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert set(read(tmp_path).rows) == {("c1", "a"), ("c1", "c")}


@pytest.mark.parametrize("change", [(b'"nfe":1', b'"nfe":2'), (b'"nfe":1,', b"")])
def test_an_altered_row_is_refused(tmp_path, change):
    path = write(tmp_path, row("a"))
    path.write_bytes(path.read_bytes().replace(*change))
    with pytest.raises(UserError, match=r"line 2 is not a result row .*checksum does not fit"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"nfe": None}, "its field nfe is 'None'"),
        ({"nfe": 0}, "its field nfe is '0'"),
        ({"nfe": True}, "its field nfe is 'True'"),
        ({"model_ms": -1.0}, "its field model_ms is '-1.0'"),
        ({"correct": "yes"}, "its field correct is 'yes'"),
        ({"decode": []}, "its field decode is '\\[\\]'"),
        ("nfe", "it has no field nfe"),
        ("step_stats", "it has no field step_stats"),
    ],
)
def test_fields_are_checked_in_rows_that_were_written_before_checksums(tmp_path, change, why):
    whole = row("a", provenance="p")
    if isinstance(change, str):
        del whole[change]
    else:
        whole |= change
    header = {"provenance_block": {"commit": "abc"}, "id": "p"}
    text = "".join(json.dumps(line) + "\n" for line in (header, row("b", provenance="p"), whole))
    (tmp_path / "old.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=f"old.jsonl line 3 is not a result row .{why}"):
        read(tmp_path)


def test_the_advice_works_for_the_line_that_describes_the_run(tmp_path):
    path = write(tmp_path, row("a"))
    header, line = lines_of(path)
    path.write_bytes(header[:30] + b"\n" + line)
    with pytest.raises(UserError, match=r"line 1 is not a result row .*: delete that line"):
        read(tmp_path)
    path.write_bytes(line)
    found = RowSet()
    found.take(read(tmp_path), [("c1", "a")])
    assert set(found.rows) == {("c1", "a")}
    assert list(found.provenance.values()) == [LOST]
    publish(tmp_path / "rows.jsonl.gz", found.rows.values(), found.provenance)
    assert set(read_published(tmp_path / "rows.jsonl.gz").rows) == {("c1", "a")}


def test_what_follows_a_failed_write_goes_to_a_file_of_its_own(tmp_path, monkeypatch):
    fsync = os.fsync

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with RunFile(tmp_path, {}) as one:
        one.append([row("a")])
        monkeypatch.setattr("psd_lab.runs.store.os.fsync", full)
        with pytest.raises(UserError, match=r"No space left on device.*rows are kept"):
            one.append([row("b")])
        monkeypatch.setattr("psd_lab.runs.store.os.fsync", fsync)
        one.append([row("c")])
    assert len(list(tmp_path.iterdir())) == 2
    assert {("c1", "a"), ("c1", "c")} <= set(read(tmp_path).rows)


def test_two_runs_at_once_are_read_as_their_union_and_the_first_row_counts(tmp_path):
    with RunFile(tmp_path, {"commit": "1"}) as first, RunFile(tmp_path, {"commit": "2"}) as second:
        first.append([row("a", model_ms=1)])
        second.append([row("a", model_ms=2), row("b")])
        first.append([row("b"), row("c", tokens="x")])
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    write(tmp_path, row("c", tokens="y"))
    contents = read(tmp_path)
    assert len(contents.rows) == 3
    assert contents.conflicts == {("c1", "c")}
    assert len(contents.provenance) == 3


def test_not_a_number_is_refused_rather_than_written(tmp_path):
    with RunFile(tmp_path, {}) as one, pytest.raises(ValueError, match=r"JSON"):
        one.append([row("a", model_ms=float("nan"))])


def test_published_rows_are_the_same_bytes_in_any_order(tmp_path):
    rows = [row(e, label=label, provenance="p") for e in "ab" for label in ("x", "y")]
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
    one = row("a", provenance="p")
    publish(path, [one], {"p": {}})

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", killed)
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
    with pytest.raises(UserError, match=r"rows\.jsonl\.gz is damaged .*, or delete it"):
        read_published(tmp_path / "rows.jsonl.gz")
    with pytest.raises(UserError, match=r"does not exist"):
        read_published(tmp_path / "none.jsonl.gz")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_generations_and_verdicts_make_rows_in_whatever_order_they_are_read(tmp_path, order):
    whole = row("a", answers={"x": "1"}, postprocessing="v1", provenance="p")
    verdict = {name: whole.pop(name) for name in ("correct", "answer", "reason", "answers")}
    verdict |= {name: whole[name] for name in ("config_hash", "example_id", "token_ids_hash")}
    again = verdict | {"correct": False, "postprocessing": "v2", "judged": 1}
    del again["answers"]
    found = RowSet()
    for at in order:
        found.add([whole, verdict, again][at])
    (got,) = found.rows.values()
    assert not found.unscored
    assert (got["correct"], got["postprocessing"], got["judged"]) == (False, "v2", 1)
    assert "answers" not in got
    assert [name for name in got if name in ("token_ids_hash", "correct", "judged", "nfe")] == [
        "token_ids_hash",
        "correct",
        "judged",
        "nfe",
    ]


def test_a_completion_without_a_verdict_is_kept_and_is_not_a_row(tmp_path):
    generation = row("a")
    for name in ("correct", "answer", "reason"):
        del generation[name]
    write(tmp_path, generation)
    found = read(tmp_path)
    assert not found.rows
    assert found.completion(("c1", "a"))["completion"] == ""


def test_only_what_was_added_is_read_again(tmp_path):
    reader = Reader(tmp_path)
    assert reader.refresh().rows == {}
    with RunFile(tmp_path, {}) as one:
        one.append([row("a")])
        assert len(reader.refresh().rows) == 1
        one.begin("c1", ["b"])
        reader.refresh()
        assert reader.deaths(("c1", "b")) == 1  # until it ends in an orderly way
    reader.refresh()
    assert reader.deaths(("c1", "b")) == 0
