import pandas as pd
import pytest
from support.report_rows import row

from psd_lab.report import rows as rows_of
from psd_lab.report import steps
from psd_lib.errors import UserError


def stats(accepted, drafted, committed, block):
    return {"accepted": accepted, "drafted": drafted, "committed": committed, "block": block}


def test_survival_counts_only_calls_that_were_offered_the_depth():
    results = rows_of.prepare(
        pd.DataFrame(
            [
                row("spiffy", 0, stats=stats([3, 1, 0], [3, 2, 1], [4, 2, 1], [0, 0, 0])),
                row("spiffy", 1, stats=stats([0, 2], [3, 3], [1, 3], [0, 0])),
            ]
        )
    )
    found = steps.acceptance(results).set_index("depth")
    assert list(found.n) == [5, 4, 3]
    assert list(found.survival) == [3 / 5, 2 / 4, 1 / 3]


def test_contributions_split_own_step_and_drafts():
    # policy steps of the block: 2, 1, 3, 1, 1; the drafts save steps 2 and 3, then step 5
    base = stats([0] * 5, [0] * 5, [2, 1, 3, 1, 1], [0] * 5)
    ours = stats([2, 1], [3, 1], [6, 2], [0, 0])
    results = rows_of.prepare(
        pd.DataFrame(
            [row("confidence", i, stats=base) for i in (0, 1)]
            + [row("psd", i, stats=ours) for i in (0, 1)]
        )
    )
    psd = results.find(decoder="psd")
    found = steps.contributions(results, psd, stages=4).set_index(["stage", "axis"]).tokens
    assert found[1, "policy step"] == 2 and found[1, "accepted drafts"] == 4
    assert (
        found[4, "policy step"] == 1 and found[4, "accepted drafts"] == 1
    )  # 6 of 8 committed before: the last quarter
    assert len(found) == 4


def test_stages_start_anew_in_every_block():
    base = stats([0] * 4, [0] * 4, [1] * 4, [0, 0, 1, 1])
    results = rows_of.prepare(
        pd.DataFrame([row("greedy", 0, stats=base), row("spiffy", 0, stats=base)])
    )
    spiffy = results.find(decoder="spiffy")
    found = steps.contributions(results, spiffy, stages=2)
    assert list(found[found.axis == "policy step"].iterations) == [2, 2]


def test_contributions_refuse_approximate_rules():
    results = rows_of.prepare(pd.DataFrame([row("confidence", 0), row("chain", 0)]))
    with pytest.raises(UserError, match="exact rule"):
        steps.contributions(results, results.find(decoder="psd", acceptor="token_chain"))
