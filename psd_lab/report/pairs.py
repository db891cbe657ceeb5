"""Two decoders on the items that they share: every paired comparison of the project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from psd_lab.report import stats
from psd_lab.report.stats import Estimate

ITEM = ["model", "task", "example_id"]
COMPARED = ["tokens", "token_ids_hash", "correct", "nfe", "step_stats"]


@dataclass(frozen=True)
class Items:
    """One decoder's rows, ready to be paired: each item's place, and the `COMPARED` columns."""

    place: Mapping[tuple, int]
    columns: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Items:
        """Index the rows of one decoder by their items."""
        keys = zip(*(rows[name] for name in ITEM), strict=True)
        place = {key: index for index, key in enumerate(keys)}
        return cls(place, {name: rows[name].to_numpy() for name in COMPARED})


@dataclass(frozen=True)
class Pair:
    """Two decoders, ours and the base, on the same items, sorted by model, task and example.

    `items` has the `COMPARED` columns of both, suffixed `_ours` and `_base`.
    """

    items: pd.DataFrame

    @classmethod
    def of(cls, ours: Items, base: Items) -> Pair:
        """Pair two decoders on the items that both have."""
        # By hand, because a table asks for hundreds of pairs and a merge costs more than everything
        # else.
        shared = sorted(ours.place.keys() & base.place.keys())
        found = {name: [key[index] for key in shared] for index, name in enumerate(ITEM)}
        for side, items in (("ours", ours), ("base", base)):
            order = [items.place[key] for key in shared]
            found |= {f"{name}_{side}": items.columns[name][order] for name in COMPARED}
        return cls(pd.DataFrame(found))

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def scored(self) -> pd.DataFrame:
        """The items with a score on both sides: an infrastructure failure is not a wrong answer."""
        known = self.items.correct_ours.notna() & self.items.correct_base.notna()
        return self.items[known].reset_index(drop=True)

    @cached_property
    def tpf_ratio(self) -> Estimate:
        """How many times as many tokens per forward ours commits as the base."""
        both = self.items
        return stats.ratio_of_ratios(
            (both.tokens_ours, both.nfe_ours), (both.tokens_base, both.nfe_base)
        )

    @cached_property
    def accuracy_difference(self) -> Estimate:
        """Accuracy of ours minus accuracy of the base, on the scored items."""
        return stats.accuracy_difference(*self._right)

    @cached_property
    def mcnemar(self) -> float:
        """Exact McNemar p value of the two accuracies; nan without a scored item."""
        return stats.mcnemar(*self._right) if len(self.scored) else stats.NAN

    @cached_property
    def same(self) -> tuple[int, int]:
        """(k, n): on how many of n items both gave the same tokens."""
        return stats.same_count(self.items.token_ids_hash_ours, self.items.token_ids_hash_base)

    @property
    def more_calls(self) -> int:
        """The number of items on which ours needed more calls than the base."""
        return int((self.items.nfe_ours > self.items.nfe_base).sum())

    def by_task(self, scored: bool = False) -> dict[str, Pair]:
        """The pair on each task, in alphabetical order; tasks without an item are left out.

        Args:
            scored: keep only the items that are scored on both sides.
        """
        items = self.scored if scored else self.items
        return {str(task): Pair(part) for task, part in items.groupby("task", sort=False)}

    @property
    def _right(self) -> tuple[pd.Series, pd.Series]:
        return self.scored.correct_ours.astype(float), self.scored.correct_base.astype(float)
