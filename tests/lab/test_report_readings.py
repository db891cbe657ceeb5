import pandas as pd
import pytest
from support.report_rows import row, rows, two_models

from psd_lab.report import claims, readings
from psd_lab.report import rows as rows_of


@pytest.fixture(scope="module")
def frame():
    return rows_of.prepare(rows())


def test_spatial_names_the_fastest_setting_near_greedy(frame):
    text = repr(readings.spatial(frame.where(frame.frame.depth == 0)))
    assert (
        "tiny: the fastest setting with an accuracy within 2 points of greedy's on these items:"
        " mini-gsm (greedy 75%) LocalLeap 0.9/0.75/4 with TPF 2.67" in text
    )
    assert "n = 4 items" in text


def test_spatial_says_when_nothing_is_fast_for_free():
    found = [row("greedy", i) for i in range(60)] + [
        row("confidence", i, nfe=2, correct=i < 20) for i in range(60)
    ]
    text = repr(readings.spatial(rows_of.prepare(pd.DataFrame(found))))
    assert "on these items: mini-gsm (greedy 100%) none." in text


def test_exact_and_approximate_rules_are_counted_apart(frame):
    text = repr(readings.combined(frame))
    assert (
        "Exact rules: 8 of 8 (tiny) decodes" in text
        and "Approximate rules: 3 of 4 (tiny) decodes" in text
    )
    assert (
        "tiny, psd(confidence 0.9, d=3): TPF 2.00 [2.00, 2.00] times its policy's and 2.00 [2.00,"
        " 2.00] times that of the greedy chain" in text
    )
    assert (
        "tiny: the fastest exact decoder: mini-gsm psd(confidence 0.9, d=3) with TPF 4.00" in text
    )


def test_every_model_is_told_apart():
    text = repr(readings.combined(rows_of.prepare(two_models())))
    assert "Exact rules: 8 of 8 (tiny), 8 of 8 (other) decodes" in text
    assert "* other: the fastest exact decoder" in text and "with TPF 4.00 and -75.0" in text


def test_temporal_reads_acceptance_and_gain():
    stats = {"accepted": [1, 0], "drafted": [3, 1], "committed": [2, 1], "block": [0, 0]}
    found = [r for i in range(3) for r in (row("greedy", i), row("spiffy", i, nfe=4, stats=stats))]
    text = repr(readings.temporal(rows_of.prepare(pd.DataFrame(found))))
    assert "Exact rules: 3 of 3 (tiny) decodes" in text and "Approximate" not in text
    assert (
        "tiny: tokens per forward over greedy's, all tasks together: spiffy(d=3) 2.00 [2.00, 2.00]."
        in text
    )
    assert "they were accepted, 1 or more by 50% (mini-gsm); 3 or more by 0% (mini-gsm)." in text


def test_scoring_tells_the_direction_of_miscalibration():
    bins = pd.DataFrame(
        [
            {
                "model": "m",
                "low": 0.5,
                "high": 0.6,
                "confidence": 0.55,
                "agreement": 0.8,
                "agreement_low": 0.7,
                "agreement_high": 0.9,
                "n": 10,
            }
        ]
    )
    ranking = pd.DataFrame(
        [
            {
                "model": "m",
                "k": 3,
                "lag": lag,
                "precision": 0.9 - lag / 10,
                "low": 0.5,
                "high": 1.0,
                "chance": 0.2,
                "states": 7,
            }
            for lag in (0, 2)
        ]
    )
    kept = pd.DataFrame(
        [{"model": "m", "lag": 1, "kept": 0.9}, {"model": "m", "lag": 8, "kept": 0.4}]
    )
    text = repr(readings.scoring(bins, ranking, kept))
    assert "confidence is too low" in text and "80% of 10 proposals" in text
    assert (
        "Precision@3 of the ranking: fresh 90.0 [50.0, 100.0] %, 2-step-old 70.0" in text
        and "8 steps later in 40%" in text
    )
    assert "too high" in repr(readings.scoring(bins.assign(agreement=0.3), ranking, kept))


def test_verdicts_are_counted(frame):
    table = claims.table(frame, "claims")
    text = repr(readings.verdicts(table))
    assert f"Of {len(table.shown)} claims" in text and "not tested" in text and "n = 4" in text


def test_a_reading_is_markdown(frame):
    assert (
        readings.spatial(frame.where(frame.frame.depth == 0))
        ._repr_markdown_()
        .startswith("* tiny: the fastest")
    )
