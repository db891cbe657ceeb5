from dataclasses import replace

import pandas as pd
import pytest
from support.report_rows import CONFIGS, row

from psd_lab.report import claims, evidence, rules
from psd_lab.report import rows as rows_of
from psd_lab.report.results import Results
from psd_lab.report.selector import select
from psd_lib.errors import UserError

PSD, GREEDY = select(decoder="psd", depth=3), select(decoder="greedy")
LEAP = select(decoder="psd", policy="local_leap", depth=3)


def frame(items=300, **changes):
    """`changes`: decoder name -> function of the item that returns changes of its row."""
    found = [
        row(name, i, **(change(i) if change else {}))
        for name, change in changes.items()
        for i in range(items)
    ]
    return rows_of.prepare(pd.DataFrame(found))


def both(*results):
    return Results(pd.concat([part.frame for part in results], ignore_index=True))


def test_the_claims_file_is_whole():
    found = claims.load()
    assert len({claim.id for claim in found}) == len(found) >= 15
    assert {claim.test for claim in found if claim.test} == set(rules.TESTS)
    assert any(claim.reason for claim in found)


@pytest.mark.parametrize(
    ("wrong", "items", "verdict"),
    [(0, 300, "reproduced"), (0, 20, "partially"), (30, 300, "not reproduced")],
)
def test_keeping_accuracy_asks_for_the_interval_and_not_for_the_value(wrong, items, verdict):
    rows = frame(items, greedy=None, psd=lambda i: {"correct": i >= wrong})
    assert rules.keeps(rows, PSD, GREEDY, 0.01)[0].verdict == verdict


@pytest.mark.parametrize(
    ("calls", "verdict"),
    [(2, "reproduced"), (5, "partially"), (8, "not reproduced"), (9, "not reproduced")],
)
def test_faster_knows_three_verdicts(calls, verdict):
    rows = frame(20, greedy=lambda i: {"nfe": 8}, psd=lambda i: {"nfe": calls})
    assert rules.faster(rows, PSD, GREEDY, 3.0)[0].verdict == verdict


@pytest.mark.parametrize(
    ("better", "verdict"),
    [(60, "reproduced"), (1, "partially"), (0, "partially"), (-60, "not reproduced")],
)
def test_better_by_paired_interval(better, verdict):
    rows = frame(
        100,
        psd=lambda i: {"correct": i < 50 + max(better, 0) // 2},
        psd_leap=lambda i: {"correct": i < 50 - min(better, 0) // 2},
    )
    assert rules.better(rows, PSD, LEAP)[0].verdict == verdict


def saturation_rows(last):
    make = CONFIGS["psd"].__class__.make
    configs = [make("confidence"), make("psd", depth=3), make("psd", depth=7)]
    calls = (8, 4, last)  # TPF 1, 2, 8 / last
    return rows_of.prepare(
        pd.DataFrame(
            [
                row("x", i, config=c, nfe=n)
                for c, n in zip(configs, calls, strict=True)
                for i in range(5)
            ]
        )
    )


@pytest.mark.parametrize(
    ("last", "verdict", "other"),
    [(4, "reproduced", "not reproduced"), (2, "not reproduced", "reproduced")],
)
def test_saturation_and_growth_are_opposites(last, verdict, other):
    parameters = {"ours": select(decoder="psd"), "depths": [0, 3, 7], "share": 0.25}
    rows = saturation_rows(last)
    found = rules.saturates(rows, **parameters)[0]
    assert (found.verdict, found.estimate.value) == (verdict, pytest.approx(8 / last - 2))
    assert rules.keeps_growing(rows, **parameters)[0].verdict == other


def test_same_output_has_no_partially():
    rows = frame(10, confidence=lambda i: {"out": "a"}, psd=lambda i: {"out": "a" if i else "b"})
    found = rules.same_output(rows, PSD)[0]
    assert (found.verdict, found.text) == ("not reproduced", "9/10 equal")
    assert rules.same_output(frame(10, confidence=None, psd=None), PSD)[0].verdict == "reproduced"


def test_loses_more_compares_tasks():
    make = CONFIGS["psd"].__class__.make
    found = []
    for task, kept in (("mini-gsm", 95), ("mini-mbpp", 40)):
        found += [row("greedy", i, task=task) for i in range(100)]
        found += [
            row("x", i, task=task, config=make("top_k", k=8), correct=i < kept) for i in range(100)
        ]
    rows = rows_of.prepare(pd.DataFrame(found))
    evidence = rules.loses_more(rows, select(decoder="top_k", k=8), GREEDY, "mini-gsm")
    assert [(e.task, e.verdict) for e in evidence] == [("mini-mbpp", "reproduced")]


def test_first_draft_reads_depth_one():
    stats = {
        "accepted": [1, 1, 1, 0],
        "drafted": [3, 3, 3, 3],
        "committed": [2, 2, 2, 1],
        "block": [0] * 4,
    }
    rows = frame(10, greedy=None, spiffy=lambda i: {"stats": stats})
    found = rules.first_draft(rows, select(decoder="spiffy"), 0.5)[0]
    assert (found.verdict, found.estimate.value, found.estimate.n) == ("reproduced", 0.75, 40)


def test_stage_shape_needs_both_halves():
    base = {"accepted": [0] * 5, "drafted": [0] * 5, "committed": [1, 1, 4, 1, 1], "block": [0] * 5}
    ours = {
        "accepted": [0, 0, 0, 1],
        "drafted": [3] * 4,
        "committed": [1, 1, 4, 2],
        "block": [0] * 4,
    }
    rows = frame(5, confidence=lambda i: {"stats": base}, psd=lambda i: {"stats": ours})
    assert rules.stage_shape(rows, PSD)[0].verdict == "reproduced"
    flat = frame(5, confidence=lambda i: {"stats": base}, psd=lambda i: {"stats": base})
    assert rules.stage_shape(flat, PSD)[0].verdict == "partially"


def branches(lopa, ete=0, fdm=0, psd=60):
    """60 items; k = 7 of each family is right on so many fewer items than k = 1; PSD at d = 7 on
    `psd`.
    """
    make, found = CONFIGS["psd"].__class__.make, []
    for name, lost in (("lopa", lopa), ("ete", ete), ("fdm", fdm)):
        for k in (1, 7):
            found += [
                row("x", i, config=make(name, k=k), correct=i < 60 - lost * (k == 7))
                for i in range(60)
            ]
    for depth in (1, 7):
        found += [
            row("x", i, config=make("psd", depth=depth), correct=i < (psd if depth == 7 else 60))
            for i in range(60)
        ]
    return rows_of.prepare(pd.DataFrame(found))


@pytest.mark.parametrize(
    ("lost", "verdict"),
    [
        ((30, 20, 20), "reproduced"),
        ((30, 20, 1), "partially"),
        ((30, 20, 0), "not reproduced"),
        ((30, 20, 20, 50), "not reproduced"),
    ],
    ids=["all lose", "one too little to tell", "one loses nothing", "psd loses too"],
)
def test_branches_lose_with_k_and_psd_does_not(lost, verdict):
    parameters = {
        "ours": select(decoder="psd"),
        "others": [select(decoder=name) for name in ("lopa", "ete", "fdm")],
        "ks": [1, 7],
        "margin": 0.01,
    }
    (found,) = rules.loses_with_k(branches(*lost), **parameters)
    assert found.verdict == verdict
    without = branches(*lost)
    assert rules.loses_with_k(without.where(without.frame.decoder != "ete"), **parameters) == []


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        (["reproduced"] * 7 + ["not reproduced"] * 2, "reproduced"),
        (["reproduced"] * 6 + ["partially"] + ["not reproduced"] * 2, "partially"),
        (["reproduced"] * 6 + ["not reproduced"] * 3, "not reproduced"),
        (["reproduced"] * 3, "reproduced"),
        (["reproduced"] * 2 + ["not reproduced"], "not reproduced"),
        ([], "not tested"),
    ],
    ids=["7 of 9", "6 and 1 of 9", "6 of 9", "3 of 3", "2 of 3", "none"],
)
def test_a_claim_on_most_cells_counts_them(verdicts, together):
    assert evidence.counted(verdicts, 7, 9) == together


def test_cells_of_all_models_are_counted_together():
    def fast(model):
        return frame(
            20, greedy=lambda i: {"model": model}, psd=lambda i: {"nfe": 2, "model": model}
        )

    claim = next(c for c in claims.load() if c.id == "best-at-equal-accuracy")
    assert (
        claims.judge(claim, fast("a")).verdict == "not tested"
    )  # LoPA and the others were not run
    claim = replace(claim, parameters={**claim.parameters, "against": [{"decoder": "greedy"}]})
    found = claims.judge(claim, both(fast("a"), fast("b")))
    verdicts = [judgement.verdict for judgement in found.judgements]
    assert (found.verdict, verdicts) == ("reproduced", ["reproduced"] * 2)
    assert (
        found.judgements[0].evidence[0].text
        == "psd(confidence 0.9, d=3) 4.00 [4.00, 4.00]x the TPF of greedy"
    )


def test_verdicts_over_tasks_and_over_missing_rows():
    assert evidence.together(["reproduced", "reproduced"]) == "reproduced"
    assert evidence.together(["reproduced", "not reproduced"]) == "partially"
    only_greedy = frame(3, greedy=None)
    shown = claims.table(only_greedy, "claims").shown
    assert set(shown.verdict) == {"not tested"} and len(shown) == len(claims.load())


def test_models_are_judged_apart_and_together():
    fast = frame(20, greedy=lambda i: {"nfe": 8}, psd=lambda i: {"nfe": 2})
    slow = frame(
        20, greedy=lambda i: {"nfe": 8, "model": "slow"}, psd=lambda i: {"nfe": 9, "model": "slow"}
    )
    claim = next(c for c in claims.load() if c.id == "over-spiffy-speed")
    claim = replace(claim, parameters={**claim.parameters, "base": {"decoder": "greedy"}})
    for rows, together in (
        (fast, "reproduced"),
        (slow, "not reproduced"),
        (both(fast, slow), "partially"),
    ):
        assert claims.judge(claim, rows).verdict == together
    found = claims.judge(claim, both(fast, slow)).judgements
    assert [(j.model, j.verdict) for j in found] == [
        ("tiny", "reproduced"),
        ("slow", "not reproduced"),
    ]
    assert found[0].text == "reproduced: mini-gsm: 4.00 [4.00, 4.00]x (n=20)"


def test_the_short_table_has_a_verdict_per_model():
    rows = frame(20, greedy=lambda i: {"nfe": 8}, spiffy=lambda i: {"nfe": 4})
    short = claims.verdicts(claims.table(rows, "a"), "b").shown
    assert list(short) == ["claim", "source", "tiny", "together"]
    lossless = short[short.source.str.startswith("Spiffy")].iloc[0]
    assert (lossless.tiny, lossless.together) == ("not tested", "not tested")  # d = 7 was not run
    deep = CONFIGS["psd"].__class__.make("spiffy", depth=7)
    more = rows_of.prepare(
        pd.concat([rows.frame, pd.DataFrame([row("x", i, config=deep) for i in range(20)])])
    )
    lossless = (
        claims.verdicts(claims.table(more, "a"), "b")
        .shown.query("source.str.startswith('Spiffy')")
        .iloc[0]
    )
    assert (lossless.tiny, lossless.together) == ("reproduced", "reproduced")


def test_a_claim_needs_a_test_or_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr("psd_lab.paths.DATA", tmp_path)
    for text, message in [
        ("- {id: a, source: s, claim: c}", "needs a rule with a test"),
        ("- {id: a, source: s, claim: c, rule: r, test: guess}", "needs a rule with a test"),
        ("- {id: a, source: s, claim: c, reason: r, value: 3}", "unknown key 'value'"),
    ]:
        (tmp_path / "claims.yaml").write_text(text)
        with pytest.raises(UserError, match=message):
            claims.load()
