import numpy as np
import pytest

from psd_lib.errors import UserError
from psd_lib.report import stats


def test_wilson_against_the_published_example():
    # 8 of 10 at 95 %: Wilson (1927), as in Agresti & Coull (1998), eq. 2
    z, n, p = 1.959964, 10, 0.8
    centre, half = (p + z * z / (2 * n)) / (1 + z * z / n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    found = stats.wilson(8, 10)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-6)
    assert found.value == 0.8 and found.n == 10


def test_wilson_at_the_edges():
    assert stats.wilson(0, 5).low == 0 and stats.wilson(5, 5).high == 1
    assert not stats.wilson(0, 0).known
    with pytest.raises(UserError, match="0..n"):
        stats.wilson(6, 5)


def test_paired_difference_uses_the_pairing():
    right = np.array([1, 0] * 50)
    assert stats.mean_difference(right, right) == stats.Estimate(0.0, 0.0, 0.0, 100)
    shifted = stats.mean_difference(np.ones(100), right)
    assert shifted.value == 0.5 and 0.35 < shifted.low < 0.5 < shifted.high < 0.65


def test_ratio_is_of_sums_and_not_a_mean_of_ratios():
    assert stats.ratio([10, 90], [10, 10]).value == 5.0
    assert stats.ratio([1, 2], [1, 1]).value != np.mean([10 / 10, 90 / 10])


def test_ratio_of_ratios_of_a_constant_factor_has_no_spread():
    tokens, calls = [5, 9, 30], [5, 3, 10]
    found = stats.ratio_of_ratios((tokens, [c / 2 for c in calls]), (tokens, calls))
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))


def test_one_item_has_a_value_and_no_interval():
    one = stats.ratio([6], [3])
    assert one.value == 2 and not one.known and one.format() == "2.0 (n=1)"


def test_mcnemar_is_the_binomial_test_on_discordant_pairs():
    ours, base = [1] * 5 + [0] * 1 + [1] * 10, [0] * 5 + [1] * 1 + [1] * 10
    assert stats.mcnemar(ours, base) == pytest.approx(2 * (1 + 6) / 2**6)
    assert stats.mcnemar(base, base) == 1.0


def test_same_count_and_unpaired_values():
    assert stats.same_count(["a", "b", "c"], ["a", "x", "c"]) == (2, 3)
    with pytest.raises(UserError, match="one entry per item"):
        stats.mean_difference([1, 0], [1, 0, 1])


def test_format_has_no_negative_zero():
    assert stats.Estimate(-1e-9, -0.02, 0.01, 9).format(1, 1, sign=True) == "+0.0 [+0.0, +0.0]"
