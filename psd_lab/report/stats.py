"""Intervals and paired comparisons over benchmark items: how sure a number is.

Every interval resamples or models *items* (one prompt each), because items are what a benchmark
draws; iterations of one decode are not independent. Functions take plain arrays and know nothing of
rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats as scipy_stats

from psd_lib.errors import UserError

LEVEL = 0.95
NAN = float("nan")
RESAMPLES = 4000
SEED = 20260515  # fixed, so that a table computed twice from the same rows is the same table


@dataclass(frozen=True)
class Estimate:
    """A value with its interval and the number of items behind it; low/high are nan where n is too
    small.
    """

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(
        cls,
        record: Any,
        name: str,
        low: str | None = None,
        high: str | None = None,
        n: str | int = "n",
    ) -> Estimate:
        """Read an estimate back from a record: a mapping, or a row of a frame.

        Its columns are `name`, `<name>_low` and `<name>_high`, or those that `low` and `high` name;
        what is missing is nan.

        Args:
            n: the column with the number of items, or the number.
        """
        fields = record._asdict() if isinstance(record, tuple) else record
        keys = (name, low or f"{name}_low", high or f"{name}_high")
        values = (float(fields.get(key, NAN)) for key in keys)
        return cls(*values, n=int(fields[n] if isinstance(n, str) else n))

    def columns(self, name: str) -> dict[str, float]:
        """The columns from which `of` reads it back."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}

    @property
    def known(self) -> bool:
        """Whether an interval exists (a bootstrap needs at least two items)."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def points(self) -> str:
        """A difference of accuracies as text in percentage points, with its sign."""
        return self.format(100, 1, sign=True)

    def format(self, scale: float = 1.0, digits: int = 1, sign: bool = False) -> str:
        """Text such as `71.0 [67.1, 74.6]`; without an interval the bare value and its n."""
        if not np.isfinite(self.value):
            return "n/a"
        form = f"{{:{'+' if sign else ''}.{digits}f}}"
        shown = form.format(_unsigned_zero(self.value * scale, digits))
        if not self.known:
            return f"{shown} (n={self.n})"
        low, high = (form.format(_unsigned_zero(x * scale, digits)) for x in (self.low, self.high))
        return f"{shown} [{low}, {high}]"


def wilson(successes: int, n: int, level: float = LEVEL) -> Estimate:
    """Wilson score interval of a proportion.

    Args:
        successes: number of successes, 0..n.
        n: number of trials; 0 gives nan everywhere.
    """
    if not 0 <= successes <= n:
        raise UserError(f"successes must lie in 0..n, got {successes} of {n}.")
    if n == 0:
        return Estimate(NAN, NAN, NAN, 0)
    interval = scipy_stats.binomtest(int(successes), int(n)).proportion_ci(level, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), int(n))


def accuracy_difference(ours: ArrayLike, base: ArrayLike, level: float = LEVEL) -> Estimate:
    """Mean of ours minus mean of base, for right (1) / wrong (0) vectors over the same items `[I]`.

    The interval is Bonett and Price's (2012) adjusted Wald interval for paired proportions. A
    bootstrap is not used here: where two decoders agree on every one of a few items it claims
    certainty.
    """
    a, b = _paired(ours, base)
    if not np.isin([*a, *b], (0, 1)).all():
        raise UserError("an accuracy difference needs right (1) or wrong (0) for every item.")
    n = int(a.size)
    if n < 2:
        return Estimate(float(a.mean() - b.mean()) if n else NAN, NAN, NAN, n)
    gained, lost = ((a > b).sum() + 1) / (n + 2), ((a < b).sum() + 1) / (n + 2)
    half = scipy_stats.norm.ppf(0.5 + level / 2) * np.sqrt(
        (gained + lost - (gained - lost) ** 2) / (n + 2)
    )
    low, high = np.clip([gained - lost - half, gained - lost + half], -1, 1)
    return Estimate(float(a.mean() - b.mean()), float(low), float(high), n)


def ratio(numerator: ArrayLike, denominator: ArrayLike, level: float = LEVEL) -> Estimate:
    """Bootstrap over items `[I]` of a ratio of sums, e.g. tokens over forwards (TPF).

    Items with a denominator of 0 say nothing about the ratio and are left out, also of n.
    """
    a, b = _paired(numerator, denominator)
    return _ratio(tuple(a[b > 0]), tuple(b[b > 0]), level)


def ratio_of_ratios(
    ours: tuple[ArrayLike, ArrayLike], base: tuple[ArrayLike, ArrayLike], level: float = LEVEL
) -> Estimate:
    """Paired bootstrap of (sum/sum) over (sum/sum) on the same items: how many times faster ours is
    than base.
    """
    a, b = _paired(*ours)
    c, d = _paired(*base)
    _paired(a, c)
    return _ratio_of_ratios(tuple(a), tuple(b), tuple(c), tuple(d), level)


def mcnemar(ours: ArrayLike, base: ArrayLike) -> float:
    """Exact two-sided McNemar p value for two right/wrong vectors over the same items; 1 when they
    never differ.
    """
    a, b = _paired(ours, base)
    gained, lost = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    if gained + lost == 0:
        return 1.0
    return float(scipy_stats.binomtest(gained, gained + lost, 0.5).pvalue)


def same_count(ours: ArrayLike, base: ArrayLike) -> tuple[int, int]:
    """(k, n): on how many of n common items two decoders gave the same output."""
    a, b = np.asarray(ours, dtype=object), np.asarray(base, dtype=object)
    if a.shape != b.shape:
        raise UserError(f"paired values need one entry per item, got {a.shape} and {b.shape}.")
    return int((a == b).sum()), int(a.size)


# Tables and figures of one notebook ask for the same intervals, so each is computed once.
@lru_cache(maxsize=8192)
def _ratio(a: tuple[float, ...], b: tuple[float, ...], level: float) -> Estimate:
    return bootstrap(
        (np.array(a), np.array(b)), lambda x, y, axis: _divide(x.sum(axis), y.sum(axis)), level
    )


@lru_cache(maxsize=8192)
def _ratio_of_ratios(
    a: tuple[float, ...],
    b: tuple[float, ...],
    c: tuple[float, ...],
    d: tuple[float, ...],
    level: float,
) -> Estimate:
    data = tuple(np.array(x) for x in (a, b, c, d))
    return bootstrap(
        data,
        lambda p, q, r, s, axis: _divide(
            _divide(p.sum(axis), q.sum(axis)), _divide(r.sum(axis), s.sum(axis))
        ),
        level,
    )


def _paired(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise UserError(
            f"paired values need one entry per item, got shapes {a.shape} and {b.shape}."
        )
    return a, b


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(a, b)


def bootstrap(
    data: tuple[np.ndarray, ...], statistic: Callable[..., np.ndarray], level: float = LEVEL
) -> Estimate:
    """Percentile bootstrap over items of any statistic of arrays `[I]` that belong to the same
    items.

    `statistic(*data, axis)` must work along `axis`. Percentile and not BCa, which is undefined
    where every item agrees.
    """
    n = int(data[0].size)
    if n == 0:
        return Estimate(NAN, NAN, NAN, 0)
    value = float(statistic(*data, axis=0))
    if n == 1:
        return Estimate(value, NAN, NAN, 1)
    with warnings.catch_warnings():
        # A resample on which the statistic is undefined makes the interval nan: see `known`.
        warnings.simplefilter("ignore", scipy_stats.DegenerateDataWarning)
        found = scipy_stats.bootstrap(
            data,
            statistic,
            paired=True,
            vectorized=True,
            confidence_level=level,
            n_resamples=RESAMPLES,
            method="percentile",
            rng=np.random.default_rng(SEED),
        )
    return Estimate(
        value, float(found.confidence_interval.low), float(found.confidence_interval.high), n
    )


def _unsigned_zero(x: float, digits: int) -> float:
    """0.0 for anything that rounds to zero, so that no table shows -0.0."""
    return 0.0 if round(x, digits) == 0 else x
