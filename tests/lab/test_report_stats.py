import numpy as np
import pytest

from psd_lab.report import stats
from psd_lib.errors import UserError


def test_wilson_against_the_published_example():
    # 8 of 10 at 95 %: Wilson (1927), as in Agresti & Coull (1998), eq. 2
    z, n, p = 1.959964, 10, 0.8
    centre, half = (
        (p + z * z / (2 * n)) / (1 + z * z / n),
        z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n),
    )
    found = stats.wilson(8, 10)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-6)
    assert found.value == 0.8 and found.n == 10


def test_wilson_at_the_edges():
    assert stats.wilson(0, 5).low == 0 and stats.wilson(5, 5).high == 1
    assert not stats.wilson(0, 0).known
    with pytest.raises(UserError, match=r"0..n"):
        stats.wilson(6, 5)


def test_accuracy_difference_uses_the_pairing():
    right = np.array([1, 0] * 50)
    paired = stats.accuracy_difference(np.maximum(right, np.arange(100) < 20), right)
    assert paired.value == pytest.approx(0.10)
    # Bonett & Price: gained 10, lost 0 of 100
    p, q = 11 / 102, 1 / 102
    half = 1.959964 * np.sqrt((p + q - (p - q) ** 2) / 102)
    assert (paired.low, paired.high) == pytest.approx((p - q - half, p - q + half), abs=1e-6)


def test_agreement_on_a_few_items_is_no_certainty():
    few, many = (stats.accuracy_difference(np.ones(n), np.ones(n)) for n in (4, 400))
    assert few.value == 0 and few.low < -0.4 and few.high > 0.4
    assert -0.01 < many.low < 0 < many.high < 0.01
    assert not stats.accuracy_difference([1], [0]).known
    with pytest.raises(UserError, match=r"right .1. or wrong .0."):
        stats.accuracy_difference([0.5], [1])


def test_ratio_is_of_sums_and_not_a_mean_of_ratios():
    assert stats.ratio([10, 90], [10, 10]).value == 5.0
    assert stats.ratio([1, 2], [1, 1]).value != np.mean([10 / 10, 90 / 10])


def test_items_that_say_nothing_widen_no_interval(recwarn):
    found = stats.ratio([2, 0, 0, 0], [2, 0, 0, 1])
    assert (found.value, found.n) == (2 / 3, 2) and found.known and not recwarn
    undefined = stats.ratio_of_ratios(([1, 0], [1, 1]), ([1, 0], [1, 1]))
    assert undefined.value == 1 and not undefined.known and not recwarn


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
        stats.accuracy_difference([1, 0], [1, 0, 1])


def test_format_has_no_negative_zero():
    assert stats.Estimate(-1e-9, -0.02, 0.01, 9).format(1, 1, sign=True) == "+0.0 [+0.0, +0.0]"
