"""One equation of a worked solution, with the sentences that may carry it."""

from __future__ import annotations

import operator
import random
from dataclasses import dataclass

LARGEST = 100
SWAP = 0.25
_OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.floordiv}


@dataclass(frozen=True)
class Step:
    """One equation of a solution and the sentences that may carry it (`{e}` is the equation)."""

    a: int
    op: str
    b: int
    sentences: tuple[str, ...]

    @property
    def result(self) -> int:
        """The right-hand side of the equation."""
        return _OPERATIONS[self.op](self.a, self.b)

    def fits(self) -> bool:
        """Check that the equation stays inside the arithmetic of this task."""
        if not (2 <= self.a < LARGEST and 2 <= self.b < LARGEST and 2 <= self.result <= LARGEST):
            return False
        if self.op == "*":
            return min(self.a, self.b) <= 9
        return self.op != "/" or (self.a % self.b == 0 and self.b <= 9)

    def normal(self) -> str:
        """Write the equation with the operands of + and * in rising order.

        This form is the unit of the answer pattern.
        """
        a, b = sorted((self.a, self.b)) if self.op in "+*" else (self.a, self.b)
        return f"{a}{self.op}{b}={self.result}"

    def write(self, rng: random.Random) -> str:
        """Pick a sentence and, now and then, swap the operands of + and *."""
        a, b = (self.b, self.a) if self.op in "+*" and rng.random() < SWAP else (self.a, self.b)
        return rng.choice(self.sentences).replace("{e}", f"{a}{self.op}{b}={self.result}")
