import pandas as pd
import pytest
from support.report_rows import CONFIGS, everything, row, rows, two_models

from psd_lab.report import rows as rows_of
from psd_lab.report import tables
from psd_lab.report.identity import Decoder
from psd_lab.report.selector import select
from psd_lab.report.table import Table
from psd_lib.errors import UserError


@pytest.fixture(scope="module")
def results():
    return rows_of.prepare(rows())


def cell(table: Table, label: str) -> pd.Series:
    return table.data[table.data.decoder == label].iloc[0]


def test_families_and_points_tell_the_axes_apart(results):
    columns = results.frame
    named = zip(columns.family.map(str), columns.point, strict=True)
    found = dict(zip(columns.label, named, strict=True))
    assert found["greedy"] == ("greedy", "")
    assert found["spiffy(d=3)"] == ("Spiffy chain", "d=3")
    assert found["confidence 0.9"] == ("confidence", "0.9")
    assert found["psd(confidence 0.9, d=3)"] == ("PSD (confidence)", "d=3")
    assert found["psd(confidence 0.9, d=3, token_chain)"] == (
        "PSD (confidence), token_chain",
        "d=3",
    )


def test_summary_counts_what_the_rows_hold(results):
    table = tables.summary(results, "t", "Title.")
    psd = cell(table, "psd(confidence 0.9, d=3)")
    assert (psd.n, psd.accuracy, psd.tpf, psd.nfe, psd.rows_per_call) == (4, 0.75, 4.0, 2.0, 2.0)
    assert psd.query_tokens_per_token == 8 and psd.tokens_per_s == pytest.approx(32 / 0.044)
    assert (psd.same, psd.same_n, psd.vs_greedy) == (4, 4, 0.0)
    chain = cell(table, "psd(confidence 0.9, d=3, token_chain)")
    assert (chain.same, chain.vs_greedy, chain.exact) == (3, -0.25, False)
    assert pd.isna(cell(table, "greedy").vs_greedy)


def test_a_failure_of_the_judge_is_no_wrong_answer():
    results = rows_of.prepare(
        pd.DataFrame(
            [row("greedy", 0), row("greedy", 1, correct=None), row("greedy", 2, correct=False)]
        )
    )
    only = tables.summary(results, "t", "Title.").data.iloc[0]
    assert (only.n, only.unscored, only.accuracy, only.tpf) == (2, 1, 0.5, 1.0)


def test_exactness_compares_with_the_own_policy_and_not_with_greedy(results):
    table = tables.exactness(results, "t", "Title.")
    assert list(table.data.decoder) == [
        "spiffy(d=3)",
        "psd(confidence 0.9, d=3)",
        "psd(confidence 0.9, d=3, token_chain)",
    ]
    assert list(table.data.same) == [4, 4, 3] and list(table.data.same_n) == [4, 4, 4]
    assert list(table.shown["rule"]) == [
        "exact, reconstructed",
        "exact, reconstructed",
        "approximate, reconstructed",
    ]
    assert list(table.data.speedup) == [2.0, 2.0, 4.0]


def test_references_share_the_context():
    blocks = CONFIGS["greedy"].__class__.make("greedy", block_length=8)
    results = rows_of.prepare(pd.DataFrame([row("greedy", 0, config=blocks), row("psd", 0)]))
    decoder = results.find(decoder="psd", depth=3)
    assert results.greedy(decoder) is None and results.own_policy(decoder) is None


def test_a_decoder_is_one_decoder_on_tasks_of_different_length():
    make = CONFIGS["greedy"].__class__.make
    found = [
        row("x", i, task=task, config=make(name, gen_length=length), nfe=calls)
        for task, length in (("mini-gsm", 128), ("mini-mbpp", 96))
        for name, calls in (("greedy", 8), ("spiffy", 4))
        for i in (0, 1)
    ]
    results = rows_of.prepare(pd.DataFrame(found))
    assert len(results.parts) == 2
    data = tables.exactness(results, "t", "Title.").data
    assert list(data.same_n) == [4] and list(data.speedup) == [2.0]
    with pytest.raises(UserError, match="mini-gsm have generation lengths 64, 128; one"):
        rows_of.prepare(pd.DataFrame([*found, row("x", 7, config=make("greedy", gen_length=64))]))


def test_a_decoder_is_one_decoder_on_models_with_different_exact_caches():
    results = rows_of.prepare(two_models())
    assert len(results.parts) == 6 and results.models == ["tiny", "other"]
    both = two_models().assign(model="tiny")
    twice = rows_of.prepare(both)
    assert len(twice.parts) == 12 and "greedy, cache none" in set(twice.frame.label)


def test_labels_say_what_differs():
    make = CONFIGS["greedy"].__class__.make
    results = rows_of.prepare(
        pd.DataFrame([row("greedy", 0), row("greedy", 0, config=make("greedy", block_length=8))])
    )
    assert list(results.frame.label) == ["greedy, block_length None", "greedy, block_length 8"]


def test_blocks_of_one_from_left_to_right_are_autoregressive_decoding():
    make = CONFIGS["greedy"].__class__.make
    results = rows_of.prepare(
        pd.DataFrame(
            [
                row("x", 0, config=make("left_to_right", block_length=1)),
                row("x", 0, config=make("left_to_right")),
            ]
        )
    )
    assert list(results.frame.label) == ["AR decoding", "left-to-right 1"]


def test_main_table_has_a_line_per_model_and_decoder_and_their_mean():
    shown = tables.main(rows_of.prepare(two_models()), "t", "Title.").shown
    assert list(shown.model) == ["tiny"] * 6 + ["other"] * 6 + ["mean of 2"] * 6
    psd = shown[shown.decoder == "psd(confidence 0.9, d=3)"]
    assert list(psd["mini-gsm"]) == ["75.0 / 4.00", "0.0 / 4.00", "37.5 / 4.00"]
    assert list(psd["same output"]) == ["4/4", "4/4", "-"] and list(psd["calls"]) == [
        "2.0",
        "2.0",
        "-",
    ]


def test_main_table_marks_what_the_paired_interval_tells_from_greedy():
    found = [row("greedy", i) for i in range(60)] + [
        row("confidence", i, correct=i < 30) for i in range(60)
    ]
    cells = tables.main(rows_of.prepare(pd.DataFrame(found)), "t", "Title.").shown["mini-gsm"]
    assert list(cells) == ["100.0 / 1.00", "50.0↓ / 1.00"]


def test_a_model_without_greedy_is_no_part_of_the_mean():
    alone = row(
        "x", 0, config=CONFIGS["greedy"].__class__.make("left_to_right", block_length=1), model="ar"
    )
    shown = tables.main(
        rows_of.prepare(pd.DataFrame([*two_models().to_dict("records"), alone])), "t", "Title."
    ).shown
    assert list(shown[shown.model == "ar"].decoder) == ["AR decoding"]
    assert "AR decoding" not in set(shown[shown.model == "mean of 2"].decoder) and len(shown) == 19


def test_headline_keeps_one_depth():
    shown = tables.headline(rows_of.prepare(rows()), "t", "Title.", depth=7).shown
    assert list(shown.decoder) == ["greedy", "confidence 0.9", "LocalLeap 0.9/0.75/4"]


def test_exactness_has_a_column_per_model():
    table = tables.exactness(rows_of.prepare(two_models()), "t", "Title.")
    assert list(table.data.model) == ["tiny"] * 3 + ["other"] * 3
    first = table.shown.iloc[0]
    assert (
        first["same output as its policy: tiny"],
        first["same output as its policy: other"],
    ) == ("4/4", "4/4")
    assert first["answers with more calls than it"] == "0/8"


def test_families_name_the_method_and_the_plugs_that_are_not_its_usual_ones():
    results = rows_of.prepare(everything())
    columns = results.frame.assign(family=results.frame.family.map(str))
    one = columns.drop_duplicates("label").set_index("label")
    assert one.loc["psd(confidence 0.9, order-swap d=7)"].family == "PSD (confidence), order_swap"
    assert one.loc["spiffy(graph d=7)"].family == "Spiffy, calibrated"
    assert one.loc["ssd(mix-order d=7)"].family == "SSD, mix_order"
    assert one.loc["freedave(confidence 0.9, d=3)"].family == "FreeDave (confidence)"
    assert one.loc["psd(confidence 0.9, small d=3)"].family == "PSD (confidence), draft_model"
    found = set(one.family)
    assert {
        "SimSD",
        "APD",
        "Prophet",
        "WINO",
        "LoPA",
        "ETE",
        "FDM",
        "Spiffy chain",
        "PSD (confidence), token_chain",
    } <= found
    assert set(columns[columns.family == "LoPA"].point) == {"k=1", "k=7"}
    assert set(columns[columns.trained].family) == {"APD", "SimSD", "PSD (confidence), draft_model"}
    eager = {
        **CONFIGS["freedave"].to_dict(),
        "builder": {"name": "chain", "depth": 3, "tokens_per_level": 1, "eager": True},
    }
    assert str(Decoder.of(eager).family) == "FreeDave (confidence), eager"


def test_a_graph_belongs_to_its_model_as_a_cache_plan_does():
    results = rows_of.prepare(everything())
    (graph,) = results.matching(select(decoder="spiffy", drafter="calibrated"))
    assert results.label(graph) == "spiffy(graph d=7)"


def test_a_decoder_that_ran_on_some_models_is_absent_from_the_others():
    results = rows_of.prepare(everything())
    shown = tables.main(results, "t", "Title.").shown
    assert list(shown[shown.decoder.str.startswith("simsd")].model) == ["tiny"]
    exact = tables.exactness(results, "t", "Title.").shown
    simsd = exact[exact.decoder.str.startswith("simsd")].iloc[0]
    assert (
        simsd["same output as its policy: tiny"],
        simsd["same output as its policy: other"],
    ) == ("0/4", "-")
    assert simsd["rule"] == "approximate" and not exact.isna().any().any()
    assert list(exact)[2:4] == [
        "same output as its policy: tiny",
        "same output as its policy: other",
    ]


def test_approximate_methods_are_compared_with_their_policy_and_with_greedy():
    table = tables.summary(rows_of.prepare(everything()), "t", "Title.")
    lopa = table.data[
        (table.data.decoder == "lopa(confidence 0.9, k=7)") & (table.data.model == "tiny")
    ].iloc[0]
    assert (lopa.same, lopa.same_n, lopa.vs_greedy, lopa.vs_policy) == (0, 4, -0.25, -0.25)
    assert lopa.vs_greedy_low < -0.25 < lopa.vs_greedy_high
    shown = table.shown[table.shown.decoder == "lopa(confidence 0.9, k=7)"].iloc[0]
    assert shown["rule"] == "approximate, reconstructed" and shown[
        "minus greedy, points"
    ].startswith("-25.0 [")


def test_a_drafting_decoder_whose_policy_was_not_run_is_not_taken_for_compared():
    results = rows_of.prepare(pd.DataFrame([row("simsd", i) for i in range(2)]))
    assert list(tables.exactness(results, "t", "Title.").shown["same output as its policy"]) == [
        "-"
    ]


def test_calls_of_a_second_model_have_a_column_where_there_are_any():
    results = rows_of.prepare(everything())
    shown = tables.main(results, "t", "Title.").shown
    calls = dict(
        zip(
            shown.decoder[shown.model == "tiny"],
            shown["second model's calls"][shown.model == "tiny"],
            strict=True,
        )
    )
    assert (calls["APD 0.7 by ar"], calls["greedy"]) == ("4.0", "-")
    assert "second model's calls" in tables.summary(results, "t", "Title.").shown
    assert "second model's calls" not in tables.main(rows_of.prepare(rows()), "t", "Title.").shown


def test_notes_on_what_is_reconstructed_stand_once_below_the_table():
    table = tables.main(rows_of.prepare(everything()), "t", "Title.")
    (note,) = [note for note in table.notes if note.startswith("ETE reconstructed")]
    assert len(set(table.notes)) == len(table.notes) and not any(
        note.startswith("KLASS") for note in table.notes
    )
    for text in (table.markdown(), table._repr_html_(), repr(table)):
        assert text.count(note.partition(":")[0]) == 1
    assert sum(note.startswith("LoPA: Goes on from the state") for note in table.notes) == 1
    assert not tables.main(rows_of.prepare(pd.DataFrame([row("greedy", 0)])), "t", "Title.").notes


def test_the_papers_table_has_the_papers_lines_in_its_order():
    shown = tables.paper(rows_of.prepare(everything()), "t", "Title.").shown
    assert list(shown.model) == sorted(shown.model, key=["tiny", "other", "mean of 2"].index)
    assert list(shown[shown.model == "tiny"].decoder) == [
        "greedy",
        "confidence 0.9",
        "LocalLeap 0.9/0.75/4",
        "lopa(confidence 0.9, k=1)",
        "lopa(confidence 0.9, k=7)",
        "ete(confidence 0.9, k=1)",
        "ete(confidence 0.9, k=7)",
        "fdm(k=1)",
        "fdm(k=7)",
        "spiffy(d=3)",
        "psd(confidence 0.9, d=3)",
    ]


def test_experiments_that_a_tier_leaves_out_are_not_asked_for(monkeypatch):
    from psd_lab import runs

    parts = {"combined": rows(), "comparison": pd.DataFrame([row("lopa_1", i) for i in range(4)])}
    asked = []
    monkeypatch.setattr(runs, "experiment", lambda name, tier: asked.append(name) or parts[name])
    monkeypatch.setattr(
        runs.Tier,
        "load",
        lambda name: runs.Tier(name, 4, experiments=("combined",) if name == "paper" else None),
    )
    assert len(rows_of.of("combined", "comparison", tier="mini")) == len(rows()) + 4
    assert len(rows_of.of("combined", "comparison", tier="paper")) == len(rows())
    assert asked == ["combined", "comparison", "combined"]
    with pytest.raises(
        UserError, match="tier paper has none of the experiments comparison; it has combined"
    ):
        rows_of.of("comparison", tier="paper")


def test_a_table_of_experiments_with_different_items_has_those_that_all_have(monkeypatch):
    from psd_lab import runs

    parts = {
        "combined": pd.DataFrame(
            [
                row(name, i, task=task)
                for name in ("greedy", "psd")
                for i in range(4)
                for task in ("a", "b")
            ]
        ),
        "comparison": pd.DataFrame([row("lopa_1", i, task="a") for i in (0, 2)]),
    }
    monkeypatch.setattr(runs, "experiment", lambda name, tier: parts[name])
    results = rows_of.of("combined", "comparison", tier="mini")
    assert {
        key: sorted(part.example_id) for key, part in results.frame.groupby(["label", "task"])
    } == {
        (label, task): [f"{task}/{i}" for i in ((0, 2) if task == "a" else range(4))]
        for label, task in [
            ("greedy", "a"),
            ("greedy", "b"),
            ("psd(confidence 0.9, d=3)", "a"),
            ("psd(confidence 0.9, d=3)", "b"),
            ("lopa(confidence 0.9, k=1)", "a"),
        ]
    }
    assert len(rows_of.of("combined", "comparison", tier="mini", same_items=False)) == 18


def test_depth_zero_of_psd_is_its_policy():
    bare = CONFIGS["psd"].__class__.make("psd", depth=0)
    results = rows_of.prepare(pd.DataFrame([row("psd", 0, config=bare), row("psd", 0)]))
    alone, drafted = results.parts
    assert results.own_policy(drafted) == alone and alone.decoder == "psd"
    assert results.label(alone) == "confidence 0.9"
    assert str(alone.family) == "confidence"


def test_bad_rows_are_refused_in_one_sentence():
    with pytest.raises(UserError, match=r"lack the column.*nfe"):
        rows_of.prepare(rows().drop(columns=["nfe"]))
    with pytest.raises(UserError, match="no result row"):
        rows_of.prepare(rows().iloc[:0])
    with pytest.raises(UserError, match="occurs twice"):
        rows_of.prepare(pd.concat([rows(), rows().iloc[:1]]))


def test_table_prints_the_same_bytes_twice_and_no_clock(results):
    first, second = (
        tables.summary(rows_of.prepare(rows()), "t", "Title.")._repr_html_() for _ in range(2)
    )
    assert (
        first == second
        and "tokens/s" not in first
        and " id=" not in first
        and "<style" not in first
    )


def test_table_saves_numbers_and_text(results, tmp_path, monkeypatch):
    monkeypatch.setattr("psd_lab.paths.RESULTS", tmp_path)
    table = tables.summary(results, "spatial", "Title.").save("smoke")
    saved = pd.read_csv(tmp_path / "smoke" / "tables" / "spatial.csv")
    assert list(saved.accuracy) == list(table.data.accuracy)
    text = (tmp_path / "smoke" / "tables" / "spatial.md").read_text()
    assert "tokens/s" in text and text.count("\n| ") == len(table.data) + 1 and "Title." in text


def test_long_tables_are_folded():
    short, long = (
        Table("t", "c", pd.DataFrame(), pd.DataFrame({"a": range(n)}))._repr_html_()
        for n in (40, 41)
    )
    assert "<details>" not in short and "<details><summary>41 lines" in long


def test_markdown_escapes_pipes():
    table = Table("t", "c", pd.DataFrame({"a": [1]}), pd.DataFrame({"a": ["x|y"]}))
    assert "x\\|y" in table.markdown()
