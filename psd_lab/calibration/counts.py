"""From walks to a graph: how often each formula was reached, and which of them to keep."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from psd_lib.methods.spiffy import Formula


@dataclass
class Counts:
    """How often each formula was reached, and which ones stood one policy step before it.

    The empty formula, the state itself, is among the latter.
    """

    states: int = 0
    reached: Counter[Formula] = field(default_factory=Counter)
    parents: defaultdict[Formula, set[Formula]] = field(default_factory=lambda: defaultdict(set))

    def add(self, walks: Iterable[list[Formula | None]]) -> None:
        """Take in the walks of a batch: `walk[h]` is where the policy stood h + 1 steps later."""
        for walk in walks:
            self.states += 1
            for parent, child in zip([(), *walk], walk, strict=False):
                if child:
                    self.reached[child] += 1
                    if parent is not None:
                        self.parents[child].add(parent)

    def best(self, count: int) -> list[Formula]:
        """Return at most `count` formulas by degree-1 accumulation (Spiffy), the best first.

        A formula's value is its own count plus the counts of its direct parents.

        Formulas are taken one by one, the best first, among those with a direct parent already
        taken (the certain state is), so every prefix of the result is connected: the first D are
        the graph of D nodes. Taking them one by one is our reading of "the connected subgraph of
        greatest accumulated frequency". Ties go to the larger own count, then to the smaller, then
        to the better ranked formula.

        Example: {0} reached 5 times, {1} 2 times, {0, 1} 4 times after {0} and once after {1}:
        accumulated 5, 2, 12; taken {0}, {0, 1}, {1}.
        """
        taken: list[Formula] = []
        value = {
            f: n + sum(self.reached[parent] for parent in self.parents[f] if parent)
            for f, n in self.reached.items()
        }
        known = {()}
        while len(taken) < count:
            open_ones = [f for f in value if f not in known and self.parents[f] & known]
            if not open_ones:
                break
            taken.append(min(open_ones, key=lambda f: (-value[f], -self.reached[f], len(f), f)))
            known.add(taken[-1])
        return taken
