import pandas as pd
import pytest
from support.report_rows import two_models

from psd_lab.report import paradigms, readings
from psd_lab.report import rows as rows_of
from psd_lab.report.results import Results


@pytest.fixture(scope="module")
def frame():
    found = two_models()
    found["step_stats"] = [
        {"accepted": [2, 0], "drafted": [3, 1], "committed": [3, 1], "block": [0, 0]}
    ] * len(found)
    return rows_of.prepare(found)


def test_differences_are_paired_with_greedy_of_the_same_model(frame):
    data = paradigms.tradeoff(frame)
    psd = data[data.decoder == "psd(confidence 0.9, d=3)"].set_index("model")
    assert list(psd.difference) == [0.0, -0.75] and list(psd.tpf) == [4.0, 4.0]
    alone = rows_of.prepare(two_models().query("model == 'tiny' or decoder != 'greedy'"))
    assert set(paradigms.tradeoff(alone).model) == {"tiny"}


def test_the_fastest_is_exact_and_near_greedy(frame):
    data = paradigms.tradeoff(frame)
    best = {
        model: paradigms.fastest(part).decoder for model, part in data.groupby("model", sort=False)
    }
    # token_chain is faster but approximate; on `other` PSD is wrong everywhere
    assert best == {"tiny": "psd(confidence 0.9, d=3)", "other": "LocalLeap 0.9/0.75/4"}
    assert paradigms.fastest(data[data.decoder.str.contains("chain")]) is None


def test_survival_takes_all_tasks_together(frame):
    more = frame.by_model["tiny"].frame.assign(task="mini-mbpp")
    found = paradigms.survival(Results(pd.concat([frame.frame, more], ignore_index=True)))
    assert list(found[found.depth == 1].n) == [16, 8] and set(found.survival) == {0.5, 1.0, 0.0}


def test_the_table_has_a_column_per_model(frame):
    shown = paradigms.table(frame, "t", "T.").shown.set_index("question")
    assert list(shown) == ["tiny", "other"]
    assert (
        shown.loc["drafts on confidence, d = 3: TPF over confidence alone", "tiny"]
        == "2.00 [2.00, 2.00]"
    )
    assert shown.loc[
        "fastest exact decoder within 1 point of greedy's accuracy", "other"
    ].startswith("LocalLeap 0.9/0.75/4: TPF 2.67")


def test_kinds_read_the_facts_of_the_family(tiny_model):
    shown = paradigms.kinds([tiny_model], "t", "T.").shown.iloc[0]
    assert (
        shown["a position sees"] == "its own block and what lies before it"
        and shown["its prediction is read"] == "at the position"
    )
    assert shown["block length"] == tiny_model.block_length


def test_the_reading_names_every_model(frame):
    text = repr(readings.contrast(frame))
    assert (
        "* tiny: the fastest exact decoder within 1 point" in text
        and "* other: the fastest exact decoder" in text
    )
