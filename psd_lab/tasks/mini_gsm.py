"""mini-gsm: grade-school word problems with worked solutions, after GSM8K (Cobbe et al. 2021)."""

from __future__ import annotations

import operator
import random
import re
from dataclasses import dataclass

from psd_lab.tasks.base import Draft, Example, Score, Task

NAMES = (
    "Anna",
    "Ben",
    "Carl",
    "Dora",
    "Emma",
    "Finn",
    "Grace",
    "Hugo",
    "Ivan",
    "Julia",
    "Kate",
    "Leo",
    "Mia",
    "Noah",
    "Olga",
    "Paul",
)
OBJECTS = (
    "apples",
    "pears",
    "plums",
    "lemons",
    "nuts",
    "eggs",
    "cakes",
    "cookies",
    "books",
    "pens",
    "cards",
    "stamps",
    "stickers",
    "coins",
    "balls",
    "toys",
    "shells",
    "stones",
    "beads",
    "buttons",
    "candles",
    "flowers",
    "ribbons",
    "cups",
)
SWAP = 0.25
LARGEST = 100
MAX_PIECES = 105
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
        """Decides whether the equation stays inside the arithmetic of this task."""
        if not (2 <= self.a < LARGEST and 2 <= self.b < LARGEST and 2 <= self.result <= LARGEST):
            return False
        if self.op == "*":
            return min(self.a, self.b) <= 9
        return self.op != "/" or (self.a % self.b == 0 and self.b <= 9)

    def normal(self) -> str:
        """The equation with the operands of + and * in rising order: the unit of the answer
        pattern.
        """
        a, b = sorted((self.a, self.b)) if self.op in "+*" else (self.a, self.b)
        return f"{a}{self.op}{b}={self.result}"

    def write(self, rng: random.Random) -> str:
        """Picks a sentence and, now and then, swaps the operands of + and *."""
        a, b = (self.b, self.a) if self.op in "+*" and rng.random() < SWAP else (self.a, self.b)
        return rng.choice(self.sentences).replace("{e}", f"{a}{self.op}{b}={self.result}")


# A question always determines its chain of equations (where two ways of solving are natural, the
# wording of the
# question decides): otherwise one text could be in train with one answer pattern and in test with
# another.
Problem = tuple[list[str], list[Step]]


def _event(rng: random.Random, value: int, n: str, m: str, o: str) -> tuple[str, Step]:
    """One gain or loss of `n`: the clause of the question and the step of the solution."""
    gain = rng.random() < 0.5 if value < 75 else False
    gain = gain or value < 15
    k = rng.randint(2, 29) if gain else rng.randint(2, min(29, value - 2))
    clause = rng.choice(
        (
            f"{n} buys {k} more {o}",
            f"{n} finds {k} {o}",
            f"{m} gives {k} {o} to {n}",
            f"{n} gets {k} {o} from {m}",
        )
        if gain
        else (
            f"{n} gives {k} {o} to {m}",
            f"{n} loses {k} {o}",
            f"{n} sells {k} {o}",
            f"{m} takes {k} {o} from {n}",
        )
    )
    tail = "in total" if gain else "left"
    return clause, Step(
        value,
        "+" if gain else "-",
        k,
        (
            f"{clause}, so {n} has {{e}} {o}.",
            f"Now {n} has {{e}} {o} because {clause}.",
            f"Then {clause}, and {n} has {{e}} {o} {tail}.",
        ),
    )


def _bag(rng: random.Random, n: str, m: str, p: str, o: str) -> Problem:
    value = rng.randint(5, 60)
    text, steps = [rng.choice((f"{n} has {value} {o}.", f"{n} starts with {value} {o}."))], []
    for other in rng.sample((m, p, m, p, m), rng.choice((3, 4, 5))):
        clause, step = _event(rng, value, n, other, o)
        text.append(f"{'Then ' if steps and rng.random() < 0.4 else ''}{clause}.")
        steps.append(step)
        value = step.result
    return (
        text
        + [
            rng.choice(
                (f"How many {o} does {n} have now?", f"How many {o} does {n} have at the end?")
            )
        ],
        steps,
    )


def _boxes(rng: random.Random, n: str, m: str, p: str, o: str) -> Problem:
    boxes, each, loose = rng.randint(2, 9), rng.randint(2, 12), rng.randint(2, 30)
    pack = rng.choice(("boxes", "bags"))
    text = [
        rng.choice(
            (
                f"{n} has {boxes} {pack} with {each} {o} in each.",
                f"{n} buys {boxes} {pack}, and each one holds {each} {o}.",
            )
        ),
        rng.choice(
            (f"{n} also has {loose} loose {o}.", f"There are {loose} more {o} on the table.")
        ),
    ]
    steps = [
        Step(
            boxes,
            "*",
            each,
            (
                f"The {boxes} {pack} with {each} {o} in each hold {{e}} {o}.",
                f"In the {pack} of {n} there are {{e}} {o}, with {each} in each.",
            ),
        ),
        Step(
            boxes * each,
            "+",
            loose,
            (
                f"With the {loose} other {o}, {n} has {{e}} {o} in total.",
                f"Adding {loose} more gives {{e}} {o} for {n}.",
            ),
        ),
    ]
    value = steps[-1].result
    for other in rng.sample((m, p), rng.choice((1, 2))):
        if value > 6:
            clause, step = _event(rng, value, n, other, o)
            text.append(f"{clause}.")
            steps.append(step)
            value = step.result
    return text + [f"How many {o} does {n} have now?"], steps


def _relation(rng: random.Random, low: int, who: str, other: str, o: str) -> tuple[str, Step]:
    """How many `who` has compared with `other`, who has `low`."""
    kind = rng.choice(("times", "more", "fewer"))
    k = rng.randint(2, 5) if kind == "times" else rng.randint(2, 20)
    clause = (
        f"{who} has {k} times as many {o} as {other}"
        if kind == "times"
        else f"{who} has {k} {kind} {o} than {other}"
    )
    return clause, Step(
        low,
        {"times": "*", "more": "+", "fewer": "-"}[kind],
        k,
        (f"{clause}, which is {{e}} {o}.", f"{other} has {low} {o}, so {who} has {{e}} {o}."),
    )


def _compare(rng: random.Random, n: str, m: str, p: str, o: str) -> Problem:
    a = rng.randint(3, 30)
    first, one = _relation(rng, a, m, n, o)
    base, base_value = rng.choice(((n, a), (m, one.result)))
    second, two = _relation(rng, base_value, p, base, o)
    both = Step(
        a,
        "+",
        one.result,
        (f"{n} and {m} have {{e}} {o} together.", f"Together, {n} and {m} have {{e}} {o}."),
    )
    total = Step(
        both.result,
        "+",
        two.result,
        (
            f"With the {two.result} {o} of {p}, there are {{e}} {o} in total.",
            f"All three have {{e}} {o} in total.",
        ),
    )
    text = [f"{n} has {a} {o}.", f"{first}.", f"{second}."]
    return text + [
        rng.choice(
            (
                f"How many {o} do {n}, {m} and {p} have in total?",
                f"How many {o} do all three have together?",
            )
        )
    ], [one, two, both, total]


def _shop(rng: random.Random, n: str, m: str, p: str, o: str) -> Problem:
    o = o if o != "coins" else "cups"
    o2 = rng.choice([x for x in OBJECTS if x not in (o, "coins")])
    x, y, c, d = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9)
    paid = x * c + y * d + rng.randint(2, 40)
    text = [
        rng.choice(
            (
                f"{n} buys {x} {o} for {c} dollars each and {y} {o2} for {d} dollars each.",
                (
                    f"In a shop, {n} pays {c} dollars for each of {x} {o} and {d} dollars for each"
                    f" of {y} {o2}."
                ),
            )
        )
    ]
    steps = [
        Step(
            x, "*", c, (f"The {x} {o} cost {{e}} dollars.", f"{n} pays {{e}} dollars for the {o}.")
        ),
        Step(
            y,
            "*",
            d,
            (f"The {y} {o2} cost {{e}} dollars.", f"{n} pays {{e}} dollars for the {o2}."),
        ),
        Step(
            x * c,
            "+",
            y * d,
            (f"All {o} and {o2} cost {{e}} dollars.", f"Together {n} pays {{e}} dollars."),
        ),
    ]
    if rng.random() < 0.75:
        text += [
            rng.choice((f"{n} had {paid} dollars.", f"{n} starts with {paid} dollars.")),
            rng.choice((f"How many dollars does {n} have left?", "How much money is left?")),
        ]
        steps.append(
            Step(
                paid,
                "-",
                steps[-1].result,
                (
                    f"{n} has {{e}} dollars left.",
                    f"So {{e}} dollars of the {paid} dollars are left.",
                ),
            )
        )
    else:
        text.append(f"How many dollars does {n} pay in total?")
    return text, steps


def _work(rng: random.Random, n: str, m: str, p: str, o: str) -> Problem:
    pay, x, y, k = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 40)
    split = rng.random() < 0.5
    text = [
        rng.choice(
            (
                f"{n} gets {pay} dollars for each hour of work.",
                f"{n} works for {pay} dollars per hour.",
            )
        ),
        (
            f"On Monday {n} works {x} hours and on Friday {y} hours."
            if split
            else f"{n} works {x} hours on Monday and {y} hours on Friday."
        ),
        rng.choice(
            (
                f"Then {n} pays {k} dollars for {o}.",
                f"{n} pays {k} dollars for {o} and keeps the rest.",
            )
        ),
        f"How many dollars does {n} have left?",
    ]
    if not split:
        steps = [
            Step(
                x,
                "+",
                y,
                (
                    f"{n} works {{e}} hours on the two days.",
                    f"On Monday and Friday {n} works {{e}} hours in total.",
                ),
            ),
            Step(
                x + y,
                "*",
                pay,
                (
                    f"With {pay} dollars per hour, {n} gets {{e}} dollars.",
                    f"For this work {n} gets {{e}} dollars.",
                ),
            ),
        ]
    else:
        steps = [
            Step(
                x,
                "*",
                pay,
                (
                    f"On Monday {n} gets {{e}} dollars.",
                    f"For {x} hours on Monday {n} gets {{e}} dollars.",
                ),
            ),
            Step(
                y,
                "*",
                pay,
                (
                    f"On Friday {n} gets {{e}} dollars.",
                    f"For {y} hours on Friday {n} gets {{e}} dollars.",
                ),
            ),
            Step(
                x * pay,
                "+",
                y * pay,
                (
                    "Together this is {e} dollars.",
                    f"On both days {n} gets {{e}} dollars in total.",
                ),
            ),
        ]
    steps.append(
        Step(
            (x + y) * pay,
            "-",
            k,
            (
                f"{n} pays {k} dollars for {o}, so {{e}} dollars are left.",
                f"After {n} pays {k} dollars, {n} has {{e}} dollars left.",
            ),
        )
    )
    return text, steps


def _reading(rng: random.Random, n: str, m: str, p: str, o: str) -> Problem:
    day, days, more, rest = (
        rng.randint(3, 12),
        rng.randint(2, 7),
        rng.randint(2, 25),
        rng.randint(2, 40),
    )
    total = day * days + more + rest
    split = rng.random() < 0.5
    text = [
        rng.choice((f"{n} reads a book of {total} pages.", f"The book of {n} has {total} pages.")),
        rng.choice(
            (
                f"{n} reads {day} pages per day for {days} days.",
                f"For {days} days {n} reads {day} pages on each day.",
            )
        ),
        (
            f"On the next day {n} reads {more} pages."
            if split
            else f"Then {n} reads {more} more pages."
        ),
        rng.choice(("How many pages are left?", f"How many pages does {n} have left?")),
    ]
    read = day * days
    steps = [
        Step(
            day,
            "*",
            days,
            (
                f"In {days} days {n} reads {{e}} pages.",
                f"With {day} pages per day, {n} reads {{e}} pages.",
            ),
        )
    ]
    if not split:
        steps += [
            Step(
                read,
                "+",
                more,
                (
                    f"With {more} more pages, {n} reads {{e}} pages in total.",
                    f"Then {n} reads {more} more, which is {{e}} pages.",
                ),
            ),
            Step(
                total,
                "-",
                read + more,
                (
                    f"The book has {total} pages, so {{e}} pages are left.",
                    "There are {e} pages of the book left.",
                ),
            ),
        ]
    else:
        steps += [
            Step(
                total,
                "-",
                read,
                (
                    f"The book has {total} pages, so {{e}} pages are left.",
                    "Now there are {e} pages of the book left.",
                ),
            ),
            Step(
                total - read,
                "-",
                more,
                (
                    f"Then {n} reads {more} more, so {{e}} pages are left.",
                    f"After {more} more pages there are {{e}} pages left.",
                ),
            ),
        ]
    return text, steps


def _share(rng: random.Random, n: str, m: str, p: str, o: str) -> Problem:
    friends, part = rng.randint(4, 9), rng.randint(3, 11)
    total = friends * part
    a = rng.randint(2, max(2, total - 2))
    text = [
        rng.choice(
            (
                f"{n} has {a} {o} and {m} has {total - a} {o}.",
                f"{n} brings {a} {o}, and {m} brings {total - a} {o}.",
            )
        ),
        rng.choice(
            (
                f"They share all {o} with {p} and others, so that {friends} friends get the same.",
                f"All {o} are shared by {friends} friends, and {p} is one of the friends.",
            )
        ),
    ]
    clause, last = _event(
        rng, part, p, rng.choice([name for name in NAMES if name not in (n, m, p)]), o
    )
    text += [f"Then {clause}.", f"How many {o} does {p} have now?"]
    return text, [
        Step(
            a,
            "+",
            total - a,
            (f"{n} and {m} have {{e}} {o} together.", f"Together there are {{e}} {o}."),
        ),
        Step(
            total,
            "/",
            friends,
            (
                f"Each of the {friends} friends gets {{e}} {o}.",
                f"All {o} are shared by {friends}, so {p} gets {{e}} {o}.",
            ),
        ),
        last,
    ]


def _garden(rng: random.Random, n: str, m: str, p: str, o: str) -> Problem:
    rows, each, new, k = (
        rng.randint(2, 7),
        rng.randint(3, 11),
        rng.randint(2, 4),
        rng.randint(2, 15),
    )
    plant = rng.choice(("trees", "flowers"))
    split = rng.random() < 0.5
    text = [
        rng.choice(
            (
                f"The garden of {n} has {rows} rows with {each} {plant} in each.",
                f"In a garden there are {rows} rows of {each} {plant}.",
            )
        ),
        (
            f"Then {n} plants {new} new rows with {each} {plant} in each."
            if split
            else f"{n} plants {new} more rows of {each}."
        ),
        rng.choice((f"In winter {k} {plant} die.", f"Then {m} takes {k} {plant} away.")),
        rng.choice((f"How many {plant} are left?", f"How many {plant} are in the garden now?")),
    ]
    if not split:
        steps = [
            Step(
                rows,
                "+",
                new,
                (
                    f"With {new} more rows, the garden has {{e}} rows.",
                    "There are {e} rows in the garden.",
                ),
            ),
            Step(
                rows + new,
                "*",
                each,
                (
                    f"With {each} {plant} in each row, there are {{e}} {plant}.",
                    f"In the {rows + new} rows there are {{e}} {plant}.",
                ),
            ),
        ]
    else:
        steps = [
            Step(
                rows,
                "*",
                each,
                (
                    f"The first {rows} rows have {{e}} {plant}.",
                    f"At the start there are {{e}} {plant}.",
                ),
            ),
            Step(
                new,
                "*",
                each,
                (f"The {new} new rows have {{e}} {plant}.", f"Then {n} plants {{e}} {plant}."),
            ),
            Step(
                rows * each,
                "+",
                new * each,
                (
                    f"Together there are {{e}} {plant} in the garden.",
                    f"Now the garden has {{e}} {plant} in total.",
                ),
            ),
        ]
    steps.append(
        Step(
            (rows + new) * each,
            "-",
            k,
            (
                f"Then {k} are lost, so {{e}} {plant} are left.",
                f"Without {k} {plant}, the garden has {{e}} {plant} left.",
            ),
        )
    )
    return text, steps


def _bus(rng: random.Random, n: str, m: str, p: str, o: str) -> Problem:
    value = rng.randint(8, 60)
    text, steps = (
        [rng.choice((f"A bus starts with {value} people.", f"There are {value} people on a bus."))],
        [],
    )
    for stop in ("first", "next"):
        off, on = rng.randint(2, 20), rng.randint(2, 20)
        text.append(
            rng.choice(
                (
                    f"At the {stop} stop {off} people get off and {on} get on.",
                    f"At the {stop} stop {off} people leave and {on} new people come.",
                )
            )
        )
        steps += [
            Step(
                value,
                "-",
                off,
                (
                    f"At the {stop} stop {off} people leave, so {{e}} people are left.",
                    f"After {off} people get off, there are {{e}} people on the bus.",
                ),
            ),
            Step(
                value - off,
                "+",
                on,
                (
                    f"Then {on} people get on, so there are {{e}} people.",
                    f"With {on} new people, the bus has {{e}} people.",
                ),
            ),
        ]
        value += on - off
    return (
        text
        + [
            rng.choice(
                (
                    "How many people are on the bus now?",
                    "How many people are on the bus at the end?",
                )
            )
        ],
        steps,
    )


SCENARIOS = (_bag, _boxes, _compare, _shop, _work, _reading, _share, _garden, _bus)


def draw(rng: random.Random) -> Draft:
    """Makes one word problem with three to five equations and its worked solution."""
    while True:
        people = rng.sample(NAMES, 3)
        text, steps = rng.choice(SCENARIOS)(rng, *people, rng.choice(OBJECTS))
        if len(steps) < 3 or not all(step.fits() for step in steps):
            continue
        lines = [step.write(rng) for step in steps]
        answer = str(steps[-1].result)
        reference = "\n".join((*lines, f"#### {answer}"))
        if len(_PIECES.findall(reference)) > MAX_PIECES:
            continue
        return Draft(
            " ".join(text) + "\n",
            reference,
            tuple(step.normal() for step in steps),
            {"answer": answer},
        )


_PIECES = re.compile(r"[A-Za-z]+|[^A-Za-z ]")
_STRICT = re.compile(r"####\s*(-?\d+(?:\.\d+)?)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def judge(completion: str, example: Example) -> Score:
    """Compares the extracted number with the answer: the first `#### number`, else the last number.

    The reason says which of the two gave the answer.
    """
    strict = _STRICT.search(completion)
    numbers = _NUMBER.findall(completion)
    if strict is None and not numbers:
        return Score(False, None, "no answer")
    answer = strict.group(1) if strict else numbers[-1]
    correct = float(answer) == float(example.meta["answer"])
    how = "" if strict else " (last number)"
    return Score(correct, answer, ("ok" if correct else "wrong") + how)


TASK = Task(
    "mini-gsm",
    "grade-school word problems with worked solutions, scored by the final number",
    128,
    judge,
    draw,
)
