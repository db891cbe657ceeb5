"""Which decoder is the fastest at greedy's accuracy, cell by cell."""

import pandas as pd
import pytest
from support.report_rows import everything, row, two_models

from psd_lab.report import best, methods, readings
from psd_lab.report import rows as rows_of


def cells(*found):
    return best.cells(rows_of.prepare(pd.DataFrame([one for part in found for one in part])))


def items(name, n=100, right=100, **more):
    return [row(name, i, correct=i < right, **more) for i in range(n)]


def test_the_fastest_of_each_side_at_equal_accuracy_are_compared():
    (cell,) = cells(
        items("greedy"),
        items("psd", nfe=2),
        items("swap", nfe=1, right=99),
        items("confidence", nfe=4),
        items("lopa_1", nfe=3),
    ).itertuples()
    assert (cell.ours, cell.other) == (
        "psd(confidence 0.9, order-swap d=7)",
        "lopa(confidence 0.9, k=1)",
    )
    assert (cell.ours_tpf, cell.other_tpf, cell.ratio, cell.ratio_low, cell.won, cell.why) == (
        8,
        pytest.approx(8 / 3),
        3,
        3,
        True,
        "",
    )


def test_what_loses_more_than_a_point_does_not_count_on_either_side():
    (cell,) = cells(
        items("greedy"),
        items("psd", nfe=4),
        items("swap", nfe=1, right=98),
        items("lopa_1", nfe=2, right=98),
    ).itertuples()
    assert (cell.ours, cell.other, cell.ratio) == ("psd(confidence 0.9, d=3)", "greedy", 2)
    assert cell.ours_difference == 0


def test_a_tight_interval_shows_equal_accuracy_where_the_value_is_just_beyond():
    for n, equal in ((2000, True), (400, False)):
        rows = rows_of.prepare(
            pd.DataFrame(items("greedy", n, n) + items("psd", n, n - n * 5 // 400))
        )
        (cell,) = rows.cells.values()
        psd = best.candidates(cell, 0.01, 0.02)[1]
        assert psd.difference.value == pytest.approx(-0.0125) and psd.equal == equal


def test_a_second_trained_model_is_on_no_side_and_approximate_psd_is_on_the_other():
    (cell,) = cells(
        items("greedy"),
        items("psd", nfe=4),
        items("drafted", nfe=1),
        items("simsd", nfe=1),
        items("apd", nfe=1),
        items("chain", nfe=2),
    ).itertuples()
    assert (cell.ours, cell.other, cell.won) == (
        "psd(confidence 0.9, d=3)",
        "psd(confidence 0.9, d=3, token_chain)",
        False,
    )
    assert cell.why.startswith(
        "psd(confidence 0.9, d=3, token_chain) (TPF 4.00) takes at least as many tokens a call"
    )


def test_a_tie_is_not_won():
    (cell,) = cells(items("greedy"), items("psd", nfe=2), items("freedave", nfe=2)).itertuples()
    assert (cell.ratio, cell.won) == (1, False)


def test_where_no_psd_keeps_the_accuracy_the_cell_is_lost_and_says_so():
    (cell,) = cells(
        items("greedy"), items("psd", nfe=1, right=50), items("lopa_1", nfe=4)
    ).itertuples()
    assert (cell.ours, cell.won) == ("", False) and pd.isna(cell.ratio)
    assert (
        "would be faster than lopa(confidence 0.9, k=1)" in cell.why
        and "its policy loses that much" in cell.why
    )


def test_cells_without_greedy_or_without_psd_are_left_out():
    for name in ("psd", "greedy"):
        assert cells(items(name, 2)).empty


def test_the_table_has_a_line_per_cell_and_counts_what_was_won():
    table = best.table(rows_of.prepare(two_models()), "t", "Title.")
    assert list(table.shown.model) == ["tiny", "other"] and list(table.shown.won) == ["yes", "no"]
    assert "PSD has the higher TPF in 1 of 2 cells; in 1 where approximate" in table.caption
    right = two_models().assign(
        correct=True
    )  # now the approximate rule, which is faster, keeps the accuracy too
    assert (
        "in 0 of 2 cells; in 2 where approximate"
        in best.table(rows_of.prepare(right), "t", "Title.").caption
    )
    assert (
        table.shown.iloc[1].PSD == "none"
        and table.shown.iloc[0]["TPF ratio"] == "1.50 [1.50, 1.50]"
    )


def test_the_reading_tells_why_cells_are_lost():
    said = repr(readings.comparison(rows_of.prepare(everything())))
    assert "on 0 of 2 cells" in said or "on 1 of 2 cells" in said
    assert (
        "other, mini-gsm: not won" in said and "Calls of a second trained model per answer" in said
    )


def test_the_reading_counts_outputs_on_items_that_not_all_decoders_have():
    whole = rows_of.prepare(everything())
    part = whole.by_model["tiny"]
    assert "(other)" not in repr(readings.comparison(part))
    assert (
        readings.comparison(part, whole).sentences[:2] == readings.comparison(whole).sentences[:2]
    )


def test_methods_are_told_apart_by_their_plugs():
    shown = methods.table(rows_of.prepare(everything()), "t", "Title.").shown.set_index("method")
    assert list(
        shown.loc["PSD (confidence)", ["policy", "drafts", "acceptor", "stop rule", "rule"]]
    ) == ["confidence", "chain", "replay", "-", "exact, reconstructed"]
    assert list(shown.loc["SimSD", ["policy", "drafts", "acceptor", "second model", "models"]]) == [
        "left_to_right",
        "packed",
        "token_chain",
        "small",
        "tiny",
    ]
    assert list(shown.loc["Prophet", ["policy", "drafts", "acceptor", "stop rule"]]) == [
        "top_k",
        "-",
        "-",
        "prophet",
    ]
    assert shown.loc["FDM", "rule"] == "approximate, reconstructed"  # with one branch it is greedy
    assert (
        shown.loc["LoPA", "settings"],
        shown.loc["greedy", "settings"],
        shown.loc["greedy", "models"],
    ) == ("k=1, k=7", "-", "all")
