"""The situations that word problems are about: each draws numbers and writes question and solution.

A question always determines its chain of equations (where two ways of solving are natural, the
wording decides, marked `split` below): otherwise one text could be in train with one answer pattern
and in test with another. The order of the draws is part of the frozen data.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from psd_lab.tasks.equations import Step
from psd_lab.tasks.templates import read

_DATA = read("word_problems")
_TEXTS: dict[str, dict[str, str | list[str]]] = _DATA["texts"]
PEOPLE: tuple[str, ...] = tuple(_DATA["people"])
THINGS: tuple[str, ...] = tuple(_DATA["things"])

Problem = tuple[list[str], list[Step]]


@dataclass(frozen=True)
class Story:
    """One situation while it is being written: its texts in the data file and their fields."""

    rng: random.Random
    scene: str
    fields: dict[str, str | int]

    @property
    def people(self) -> tuple[str, str, str]:
        """The three people of the story."""
        return self.fields["n"], self.fields["m"], self.fields["p"]

    def where(self, scene: str | None = None, **fields: str | int) -> Story:
        """Add fields, and move to the texts of another scene."""
        return replace(self, scene=scene or self.scene, fields={**self.fields, **fields})

    def say(self, key: str) -> str:
        """Fill a text of the scene; of several, draw one."""
        texts = _TEXTS[self.scene][key]
        return (texts if isinstance(texts, str) else self.rng.choice(texts)).format(**self.fields)

    def step(self, key: str, a: int, op: str, b: int) -> Step:
        """Make an equation that may be carried by any of the scene's sentences `key`."""
        fields = {**self.fields, "e": "{e}"}
        return Step(a, op, b, tuple(text.format(**fields) for text in _TEXTS[self.scene][key]))


def _event(story: Story, value: int, who: str, other: str) -> tuple[str, Step]:
    """Draw one gain or loss of `who`, who has `value`: clause of the question and step."""
    rng = story.rng
    gain = rng.random() < 0.5 if value < 75 else False
    gain = gain or value < 15
    k = rng.randint(2, 29) if gain else rng.randint(2, min(29, value - 2))
    story = story.where("event", who=who, other=other, k=k, tail="in total" if gain else "left")
    clause = story.say("gain" if gain else "loss")
    return clause, story.where(clause=clause).step("solution", value, "+" if gain else "-", k)


def _relation(story: Story, low: int, who: str, other: str) -> tuple[str, Step]:
    """Draw how many `who` has compared with `other`, who has `low`."""
    rng = story.rng
    kind = rng.choice(("times", "more", "fewer"))
    k = rng.randint(2, 5) if kind == "times" else rng.randint(2, 20)
    story = story.where("relation", who=who, other=other, k=k, low=low)
    clause = story.say(kind)
    op = {"times": "*", "more": "+", "fewer": "-"}[kind]
    return clause, story.where(clause=clause).step("solution", low, op, k)


def _bag(story: Story) -> Problem:
    rng, (n, m, p) = story.rng, story.people
    value = rng.randint(5, 60)
    text, steps = [story.where(value=value).say("start")], []
    for other in rng.sample((m, p, m, p, m), rng.choice((3, 4, 5))):
        clause, step = _event(story, value, n, other)
        text.append(f"{'Then ' if steps and rng.random() < 0.4 else ''}{clause}.")
        steps.append(step)
        value = step.result
    return [*text, story.say("question")], steps


def _boxes(story: Story) -> Problem:
    rng, (n, m, p) = story.rng, story.people
    boxes, each, loose = rng.randint(2, 9), rng.randint(2, 12), rng.randint(2, 30)
    pack = rng.choice(("boxes", "bags"))
    story = story.where(boxes=boxes, each=each, loose=loose, pack=pack)
    text = [story.say("start"), story.say("loose")]
    steps = [
        story.step("packed", boxes, "*", each),
        story.step("total", boxes * each, "+", loose),
    ]
    value = steps[-1].result
    for other in rng.sample((m, p), rng.choice((1, 2))):
        if value > 6:
            clause, step = _event(story, value, n, other)
            text.append(f"{clause}.")
            steps.append(step)
            value = step.result
    return [*text, story.say("question")], steps


def _compare(story: Story) -> Problem:
    rng, (n, m, p) = story.rng, story.people
    a = rng.randint(3, 30)
    first, one = _relation(story, a, m, n)
    base, base_value = rng.choice(((n, a), (m, one.result)))
    second, two = _relation(story, base_value, p, base)
    story = story.where(a=a, last=two.result)
    both = story.step("both", a, "+", one.result)
    total = story.step("all", both.result, "+", two.result)
    text = [story.say("start"), f"{first}.", f"{second}.", story.say("question")]
    return text, [one, two, both, total]


def _shop(story: Story) -> Problem:
    rng = story.rng
    o = story.fields["o"] if story.fields["o"] != "coins" else "cups"
    o2 = rng.choice([thing for thing in THINGS if thing not in (o, "coins")])
    x, y, c, d = (rng.randint(2, 9) for _ in range(4))
    paid = x * c + y * d + rng.randint(2, 40)
    story = story.where(o=o, o2=o2, x=x, y=y, c=c, d=d, paid=paid)
    text = [story.say("start")]
    steps = [
        story.step("first", x, "*", c),
        story.step("second", y, "*", d),
        story.step("both", x * c, "+", y * d),
    ]
    if rng.random() < 0.75:
        text += [story.say("paid"), story.say("question left")]
        steps.append(story.step("left", paid, "-", steps[-1].result))
    else:
        text.append(story.say("question total"))
    return text, steps


def _work(story: Story) -> Problem:
    rng = story.rng
    pay, x, y, k = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 40)
    split = rng.random() < 0.5
    story = story.where(pay=pay, x=x, y=y, k=k)
    days = "days split" if split else "days"
    text = [story.say(key) for key in ("start", days, "spent", "question")]
    if split:
        steps = [
            story.step("monday", x, "*", pay),
            story.step("friday", y, "*", pay),
            story.step("both", x * pay, "+", y * pay),
        ]
    else:
        steps = [story.step("hours", x, "+", y), story.step("pay", x + y, "*", pay)]
    return text, [*steps, story.step("left", (x + y) * pay, "-", k)]


def _reading(story: Story) -> Problem:
    rng = story.rng
    day, days, more = rng.randint(3, 12), rng.randint(2, 7), rng.randint(2, 25)
    read = day * days
    total = read + more + rng.randint(2, 40)
    split = rng.random() < 0.5
    story = story.where(day=day, days=days, more=more, total=total)
    following = "next split" if split else "next"
    text = [story.say(key) for key in ("start", "days", following, "question")]
    steps = [story.step("read", day, "*", days)]
    if split:
        steps += [
            story.step("left first", total, "-", read),
            story.step("left last", total - read, "-", more),
        ]
    else:
        steps += [story.step("all", read, "+", more), story.step("left", total, "-", read + more)]
    return text, steps


def _share(story: Story) -> Problem:
    rng, (n, m, p) = story.rng, story.people
    friends, part = rng.randint(4, 9), rng.randint(3, 11)
    total = friends * part
    a = rng.randint(2, max(2, total - 2))
    story = story.where(a=a, b=total - a, friends=friends)
    text = [story.say("start"), story.say("shared")]
    other = rng.choice([name for name in PEOPLE if name not in (n, m, p)])
    clause, last = _event(story, part, p, other)
    text += [f"Then {clause}.", story.say("question")]
    steps = [story.step("together", a, "+", total - a), story.step("part", total, "/", friends)]
    return text, [*steps, last]


def _garden(story: Story) -> Problem:
    rng = story.rng
    rows, each, new = rng.randint(2, 7), rng.randint(3, 11), rng.randint(2, 4)
    k = rng.randint(2, 15)
    plant = rng.choice(("trees", "flowers"))
    split = rng.random() < 0.5
    story = story.where(rows=rows, each=each, new=new, all=rows + new, k=k, plant=plant)
    text = [
        story.say(key) for key in ("start", "new split" if split else "new", "lost", "question")
    ]
    if split:
        steps = [
            story.step("first", rows, "*", each),
            story.step("second", new, "*", each),
            story.step("both", rows * each, "+", new * each),
        ]
    else:
        steps = [story.step("rows", rows, "+", new), story.step("all", rows + new, "*", each)]
    return text, [*steps, story.step("left", (rows + new) * each, "-", k)]


def _bus(story: Story) -> Problem:
    rng = story.rng
    value = rng.randint(8, 60)
    text, steps = [story.where(value=value).say("start")], []
    for stop in ("first", "next"):
        down, up = rng.randint(2, 20), rng.randint(2, 20)
        here = story.where(stop=stop, down=down, up=up)
        text.append(here.say("stop"))
        steps += [here.step("down", value, "-", down), here.step("up", value - down, "+", up)]
        value += up - down
    return [*text, story.say("question")], steps


SCENARIOS: dict[str, Callable[[Story], Problem]] = {
    "bag": _bag,
    "boxes": _boxes,
    "compare": _compare,
    "shop": _shop,
    "work": _work,
    "reading": _reading,
    "share": _share,
    "garden": _garden,
    "bus": _bus,
}


def draw_problem(rng: random.Random) -> Problem:
    """Draw people, a situation and things; write the question's sentences and its equations."""
    n, m, p = rng.sample(PEOPLE, 3)
    scene = rng.choice(tuple(SCENARIOS))
    o = rng.choice(THINGS)
    return SCENARIOS[scene](Story(rng, scene, {"n": n, "m": m, "p": p, "o": o}))
