import pandas as pd
import pytest
from report_rows import CONFIGS, row, rows, two_models

from psd_lib.errors import UserError
from psd_lib.report import rows as rows_of
from psd_lib.report import tables
from psd_lib.report.table import Table


@pytest.fixture(scope="module")
def frame():
    return rows_of.prepare(rows())


def cell(table: Table, label: str) -> pd.Series:
    return table.data[table.data.decoder == label].iloc[0]


def test_families_and_points_tell_the_axes_apart(frame):
    found = dict(zip(frame.label, zip(frame.family, frame.point, strict=True), strict=True))
    assert found["greedy"] == ("greedy", "")
    assert found["spiffy(d=3)"] == ("Spiffy chain", "d=3")
    assert found["confidence 0.9"] == ("confidence", "0.9")
    assert found["psd(confidence 0.9, d=3)"] == ("PSD (confidence)", "d=3")
    assert found["psd(confidence 0.9, d=3, token_chain)"] == ("PSD (confidence), token_chain", "d=3")


def test_summary_counts_what_the_rows_hold(frame):
    table = tables.summary(frame, "t", "Title.")
    psd = cell(table, "psd(confidence 0.9, d=3)")
    assert (psd.n, psd.accuracy, psd.tpf, psd.nfe, psd.rows_per_call) == (4, 0.75, 4.0, 2.0, 2.0)
    assert psd.query_tokens_per_token == 8 and psd.tokens_per_s == pytest.approx(32 / 0.044)
    assert (psd.same, psd.same_n, psd.vs_greedy) == (4, 4, 0.0)
    chain = cell(table, "psd(confidence 0.9, d=3, token_chain)")
    assert (chain.same, chain.vs_greedy, chain.exact) == (3, -0.25, False)
    assert pd.isna(cell(table, "greedy").vs_greedy)


def test_a_failure_of_the_judge_is_no_wrong_answer():
    frame = rows_of.prepare(pd.DataFrame([row("greedy", 0), row("greedy", 1, correct=None), row("greedy", 2, correct=False)]))
    only = tables.summary(frame, "t", "Title.").data.iloc[0]
    assert (only.n, only.unscored, only.accuracy, only.tpf) == (2, 1, 0.5, 1.0)


def test_exactness_compares_with_the_own_policy_and_not_with_greedy(frame):
    table = tables.exactness(frame, "t", "Title.")
    assert list(table.data.decoder) == ["spiffy(d=3)", "psd(confidence 0.9, d=3)", "psd(confidence 0.9, d=3, token_chain)"]
    assert list(table.data.same) == [4, 4, 3] and list(table.data.same_n) == [4, 4, 4]
    assert list(table.shown["rule"]) == ["exact", "exact", "approximate"]
    assert list(table.data.speedup) == [2.0, 2.0, 4.0]


def test_references_share_the_context():
    blocks = CONFIGS["greedy"].__class__.make("greedy", block_length=8)
    frame = rows_of.prepare(pd.DataFrame([row("greedy", 0, config=blocks), row("psd", 0)]))
    setting = frame[frame.decoder == "psd"].setting.iloc[0]
    assert rows_of.greedy(frame, setting) is None and rows_of.own_policy(frame, setting) is None


def test_a_decoder_is_one_decoder_on_tasks_of_different_length():
    make = CONFIGS["greedy"].__class__.make
    found = [row("x", i, task=task, config=make(name, gen_length=length), nfe=calls)
             for task, length in (("mini-gsm", 128), ("mini-mbpp", 96)) for name, calls in (("greedy", 8), ("spiffy", 4)) for i in (0, 1)]
    frame = rows_of.prepare(pd.DataFrame(found))
    assert frame.setting.nunique() == 2
    data = tables.exactness(frame, "t", "Title.").data
    assert list(data.same_n) == [4] and list(data.speedup) == [2.0]
    with pytest.raises(UserError, match="mini-gsm have generation lengths 64, 128; one"):
        rows_of.prepare(pd.DataFrame([*found, row("x", 7, config=make("greedy", gen_length=64))]))


def test_a_decoder_is_one_decoder_on_models_with_different_exact_caches():
    frame = rows_of.prepare(two_models())
    assert frame.setting.nunique() == 6 and rows_of.models(frame) == ["tiny", "other"]
    both = two_models().assign(model="tiny")
    twice = rows_of.prepare(both)
    assert twice.setting.nunique() == 12 and "greedy, cache none" in set(twice.label)


def test_labels_say_what_differs():
    make = CONFIGS["greedy"].__class__.make
    frame = rows_of.prepare(pd.DataFrame([row("greedy", 0), row("greedy", 0, config=make("greedy", block_length=8))]))
    assert list(frame.label) == ["greedy, block_length None", "greedy, block_length 8"]


def test_blocks_of_one_from_left_to_right_are_autoregressive_decoding():
    make = CONFIGS["greedy"].__class__.make
    frame = rows_of.prepare(pd.DataFrame([row("x", 0, config=make("left_to_right", block_length=1)), row("x", 0, config=make("left_to_right"))]))
    assert list(frame.label) == ["AR decoding", "left-to-right 1"]


def test_main_table_has_a_line_per_model_and_decoder_and_their_mean():
    shown = tables.main(rows_of.prepare(two_models()), "t", "Title.").shown
    assert list(shown.model) == ["tiny"] * 6 + ["other"] * 6 + ["mean of 2"] * 6
    psd = shown[shown.decoder == "psd(confidence 0.9, d=3)"]
    assert list(psd["mini-gsm"]) == ["75.0 / 4.00", "0.0 / 4.00", "37.5 / 4.00"]
    assert list(psd["same output"]) == ["4/4", "4/4", "-"] and list(psd["calls"]) == ["2.0", "2.0", "-"]


def test_main_table_marks_what_the_paired_interval_tells_from_greedy():
    found = [row("greedy", i) for i in range(60)] + [row("confidence", i, correct=i < 30) for i in range(60)]
    cells = tables.main(rows_of.prepare(pd.DataFrame(found)), "t", "Title.").shown["mini-gsm"]
    assert list(cells) == ["100.0 / 1.00", "50.0↓ / 1.00"]


def test_a_model_without_greedy_is_no_part_of_the_mean():
    alone = row("x", 0, config=CONFIGS["greedy"].__class__.make("left_to_right", block_length=1), model="ar")
    shown = tables.main(rows_of.prepare(pd.DataFrame([*two_models().to_dict("records"), alone])), "t", "Title.").shown
    assert list(shown[shown.model == "ar"].decoder) == ["AR decoding"]
    assert "AR decoding" not in set(shown[shown.model == "mean of 2"].decoder) and len(shown) == 19


def test_headline_keeps_one_depth():
    shown = tables.headline(rows_of.prepare(rows()), "t", "Title.", depth=7).shown
    assert list(shown.decoder) == ["greedy", "confidence 0.9", "LocalLeap 0.9/0.75/4"]


def test_exactness_has_a_column_per_model():
    table = tables.exactness(rows_of.prepare(two_models()), "t", "Title.")
    assert list(table.data.model) == ["tiny"] * 3 + ["other"] * 3
    first = table.shown.iloc[0]
    assert (first["same output as its policy: tiny"], first["same output as its policy: other"]) == ("4/4", "4/4")
    assert first["answers with more calls than it"] == "0/8"


def test_depth_zero_of_psd_is_its_policy():
    bare = CONFIGS["psd"].__class__.make("psd", depth=0)
    frame = rows_of.prepare(pd.DataFrame([row("psd", 0, config=bare), row("psd", 0)]))
    assert rows_of.own_policy(frame, frame.setting.iloc[1]).decode.iloc[0] == bare.to_dict()
    assert frame.label.iloc[0] == "confidence 0.9"
    assert frame.family.iloc[0] == "confidence"


def test_bad_rows_are_refused_in_one_sentence():
    with pytest.raises(UserError, match="lack the column.*nfe"):
        rows_of.prepare(rows().drop(columns=["nfe"]))
    with pytest.raises(UserError, match="no result row"):
        rows_of.prepare(rows().iloc[:0])
    with pytest.raises(UserError, match="occurs twice"):
        rows_of.prepare(pd.concat([rows(), rows().iloc[:1]]))


def test_table_prints_the_same_bytes_twice_and_no_clock(frame):
    first, second = (tables.summary(rows_of.prepare(rows()), "t", "Title.")._repr_html_() for _ in range(2))
    assert first == second and "tokens/s" not in first and " id=" not in first and "<style" not in first


def test_table_saves_numbers_and_text(frame, tmp_path, monkeypatch):
    monkeypatch.setattr("psd_lib.paths.RESULTS", tmp_path)
    table = tables.summary(frame, "spatial", "Title.").save("smoke")
    saved = pd.read_csv(tmp_path / "smoke" / "tables" / "spatial.csv")
    assert list(saved.accuracy) == list(table.data.accuracy)
    text = (tmp_path / "smoke" / "tables" / "spatial.md").read_text()
    assert "tokens/s" in text and text.count("\n| ") == len(table.data) + 1 and "Title." in text


def test_long_tables_are_folded():
    short, long = (Table("t", "c", pd.DataFrame(), pd.DataFrame({"a": range(n)}))._repr_html_() for n in (40, 41))
    assert "<details>" not in short and "<details><summary>41 lines" in long


def test_markdown_escapes_pipes():
    table = Table("t", "c", pd.DataFrame({"a": [1]}), pd.DataFrame({"a": ["x|y"]}))
    assert "x\\|y" in table.markdown()
