"""Building blocks of the code tasks: what each says, and the two ways in which it is written.

A block takes one value of a type and gives one of a type: xs (list of integers), n (integer), s
(string), ws (list of words), flag (truth value). The type is also the name of the variable that
holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Primitive:
    """One block; `{k}` stands for its constant.

    `says` are phrasings in the imperative, `expression` is the short style, `lines` the long style
    that leaves its result in the variable named `gives`.
    """

    key: str
    takes: str
    gives: str
    says: tuple[str, ...]
    expression: str
    lines: tuple[str, ...]
    constants: tuple[str, ...] = ("",)


def _map(
    key: str, expression: str, *says: str, k: tuple[str, ...] = ("",), of: str = "xs"
) -> Primitive:
    item = of[0]
    return Primitive(
        key,
        of,
        of,
        says,
        f"[{expression} for {item} in {of}]",
        (
            "result = []",
            f"for {item} in {of}:",
            f"    result.append({expression})",
            f"{of} = result",
        ),
        k,
    )


def _filter(
    key: str, condition: str, *says: str, k: tuple[str, ...] = ("",), of: str = "xs"
) -> Primitive:
    item = of[0]
    return Primitive(
        key,
        of,
        of,
        says,
        f"[{item} for {item} in {of} if {condition}]",
        (
            "result = []",
            f"for {item} in {of}:",
            f"    if {condition}:",
            f"        result.append({item})",
            f"{of} = result",
        ),
        k,
    )


def _count(
    key: str, condition: str, *says: str, k: tuple[str, ...] = ("",), of: str = "xs"
) -> Primitive:
    item = "c" if of == "s" else of[0]
    return Primitive(
        key,
        of,
        "n",
        says,
        f"sum(1 for {item} in {of} if {condition})",
        ("n = 0", f"for {item} in {of}:", f"    if {condition}:", "        n += 1"),
        k,
    )


def _chars(key: str, condition: str, *says: str, k: tuple[str, ...] = ("",)) -> Primitive:
    return Primitive(
        key,
        "s",
        "s",
        says,
        f'"".join(c for c in s if {condition})',
        ('out = ""', "for c in s:", f"    if {condition}:", "        out += c", "s = out"),
        k,
    )


def _of(
    takes: str,
    gives: str,
    key: str,
    expression: str,
    lines: str,
    *says: str,
    k: tuple[str, ...] = ("",),
) -> Primitive:
    return Primitive(key, takes, gives, says, expression, tuple(lines.split("\n")), k)


_SMALL = tuple("23456789")
_FEW = tuple("2345")
_LETTERS = tuple("aeorst")

PRIMITIVES = (
    # list of integers -> list of integers
    _map("add", "x + {k}", "add {k} to each number", "increase each number by {k}", k=_SMALL),
    _map(
        "subtract",
        "x - {k}",
        "subtract {k} from each number",
        "decrease each number by {k}",
        k=_SMALL,
    ),
    _map(
        "multiply",
        "x * {k}",
        "multiply each number by {k}",
        "replace each number by {k} times the number",
        k=_SMALL,
    ),
    _map("square", "x * x", "square each number", "replace each number by the square"),
    _map("negate", "-x", "negate each number", "change the sign of each number"),
    _map(
        "absolute",
        "abs(x)",
        "take the absolute value of each number",
        "drop the sign of each number",
    ),
    _map(
        "remainder",
        "x % {k}",
        "take each number modulo {k}",
        "replace each number by the remainder after division by {k}",
        k=_SMALL,
    ),
    _map(
        "atmost",
        "min(x, {k})",
        "limit each number to at most {k}",
        "replace numbers above {k} by {k}",
        k=_SMALL,
    ),
    _map(
        "atleast",
        "max(x, {k})",
        "raise each number to at least {k}",
        "replace numbers below {k} by {k}",
        k=_SMALL,
    ),
    _filter("even", "x % 2 == 0", "keep the even numbers", "remove the odd numbers"),
    _filter("odd", "x % 2 == 1", "keep the odd numbers", "remove the even numbers"),
    _filter(
        "above", "x > {k}", "keep the numbers above {k}", "keep numbers greater than {k}", k=_SMALL
    ),
    _filter(
        "below", "x < {k}", "keep the numbers below {k}", "keep numbers smaller than {k}", k=_SMALL
    ),
    _filter(
        "without", "x != {k}", "remove the number {k}", "drop all numbers equal to {k}", k=_SMALL
    ),
    _filter("positive", "x > 0", "keep the positive numbers", "keep numbers above zero"),
    _of(
        "xs",
        "xs",
        "sort",
        "sorted(xs)",
        "xs = list(xs)\nxs.sort()",
        "sort the numbers",
        "sort the list in rising order",
    ),
    _of(
        "xs",
        "xs",
        "sortdown",
        "sorted(xs, reverse=True)",
        "xs = list(xs)\nxs.sort(reverse=True)",
        "sort the numbers from large to small",
        "sort the list in falling order",
    ),
    _of(
        "xs",
        "xs",
        "reverse",
        "xs[::-1]",
        "xs = list(xs)\nxs.reverse()",
        "reverse the list",
        "put the numbers in reverse order",
    ),
    _of(
        "xs",
        "xs",
        "dropfirst",
        "xs[{k}:]",
        "for i in range({k}):\n    xs = xs[1:]",
        "drop the first {k} numbers",
        "remove the first {k} items",
        k=_FEW[:2],
    ),
    _of(
        "xs",
        "xs",
        "droplast",
        "xs[:-{k}]",
        "for i in range({k}):\n    xs = xs[:-1]",
        "drop the last {k} numbers",
        "remove the last {k} items",
        k=_FEW[:2],
    ),
    _of(
        "xs",
        "xs",
        "first",
        "xs[:{k}]",
        "result = []\nfor x in xs:\n    if len(result) < {k}:\n        result.append(x)\nxs ="
        " result",
        "keep the first {k} numbers",
        "take the first {k} items",
        k=_FEW,
    ),
    _of(
        "xs",
        "xs",
        "last",
        "xs[-{k}:]",
        "while len(xs) > {k}:\n    xs = xs[1:]",
        "keep the last {k} numbers",
        "take the last {k} items",
        k=_FEW,
    ),
    _of(
        "xs",
        "xs",
        "second",
        "xs[::2]",
        "result = []\nfor i in range(0, len(xs), 2):\n    result.append(xs[i])\nxs = result",
        "keep every second number",
        "take every second item",
    ),
    _of(
        "xs",
        "xs",
        "unique",
        "list(dict.fromkeys(xs))",
        "result = []\nfor x in xs:\n    if x not in result:\n        result.append(x)\nxs = result",
        "remove repeated numbers",
        "keep each number only once",
    ),
    _of(
        "xs",
        "xs",
        "running",
        "[sum(xs[:i + 1]) for i in range(len(xs))]",
        "result = []\ntotal = 0\nfor x in xs:\n    total += x\n    result.append(total)\nxs ="
        " result",
        "compute the running totals",
        "replace each number by the total so far",
    ),
    _of(
        "xs",
        "xs",
        "steps",
        "[b - a for a, b in zip(xs, xs[1:])]",
        "result = []\nfor i in range(1, len(xs)):\n    result.append(xs[i] - xs[i - 1])\nxs ="
        " result",
        "take the differences of neighbors",
        "compute the step from each number to the next",
    ),
    _of(
        "xs",
        "xs",
        "twice",
        "xs + xs",
        "xs = list(xs)\nxs.extend(xs)",
        "repeat the list twice",
        "append the list to itself",
    ),
    # list of integers -> integer
    _of(
        "xs",
        "n",
        "sum",
        "sum(xs)",
        "n = 0\nfor x in xs:\n    n += x",
        "add up the numbers",
        "compute the sum of the numbers",
    ),
    _of(
        "xs",
        "n",
        "largest",
        "max(xs, default=0)",
        "n = 0\nif xs:\n    n = max(xs)",
        "find the largest number or 0",
        "take the maximum, or 0 if empty",
    ),
    _of(
        "xs",
        "n",
        "smallest",
        "min(xs, default=0)",
        "n = 0\nif xs:\n    n = min(xs)",
        "find the smallest number or 0",
        "take the minimum, or 0 if empty",
    ),
    _of(
        "xs",
        "n",
        "length",
        "len(xs)",
        "n = 0\nfor x in xs:\n    n += 1",
        "count the numbers",
        "compute the length of the list",
    ),
    _count("counteven", "x % 2 == 0", "count the even numbers", "find how many numbers are even"),
    _count(
        "countabove",
        "x > {k}",
        "count the numbers above {k}",
        "find how many numbers are greater than {k}",
        k=_SMALL,
    ),
    _of(
        "xs",
        "n",
        "distinct",
        "len(set(xs))",
        "seen = []\nfor x in xs:\n    if x not in seen:\n        seen.append(x)\nn = len(seen)",
        "count the distinct numbers",
        "find how many different numbers there are",
    ),
    # integer -> integer, list or truth value
    _of(
        "n",
        "n",
        "plus",
        "n + {k}",
        "n += {k}",
        "add {k} to the number",
        "increase the number by {k}",
        k=_SMALL,
    ),
    _of(
        "n",
        "n",
        "times",
        "n * {k}",
        "n *= {k}",
        "multiply the number by {k}",
        "take {k} times the number",
        k=_SMALL,
    ),
    _of(
        "n",
        "n",
        "minus",
        "n - {k}",
        "n -= {k}",
        "subtract {k} from the number",
        "decrease the number by {k}",
        k=_SMALL,
    ),
    _of(
        "n",
        "n",
        "modulo",
        "n % {k}",
        "while n >= {k}:\n    n -= {k}\nwhile n < 0:\n    n += {k}",
        "take the number modulo {k}",
        "take the remainder after division by {k}",
        k=_SMALL,
    ),
    _of(
        "n",
        "n",
        "squared",
        "n * n",
        "n = n ** 2",
        "square the number",
        "multiply the number by itself",
    ),
    _of(
        "n",
        "n",
        "magnitude",
        "abs(n)",
        "if n < 0:\n    n = -n",
        "take the absolute value",
        "drop the sign of the number",
    ),
    _of(
        "n",
        "n",
        "digitsum",
        "sum(int(c) for c in str(abs(n)))",
        "total = 0\nfor c in str(abs(n)):\n    total += int(c)\nn = total",
        "compute the sum of the digits",
        "add up the digits of the number",
    ),
    _of(
        "n",
        "xs",
        "digits",
        "[int(c) for c in str(abs(n))]",
        "xs = []\nfor c in str(abs(n)):\n    xs.append(int(c))",
        "list the digits of the number",
        "make a list of the digits",
    ),
    _of(
        "n",
        "xs",
        "countup",
        "list(range(1, n + 1))",
        "xs = []\nfor i in range(n):\n    xs.append(i + 1)",
        "list the numbers from 1 up to the number",
        "make a list that counts from 1 to the number",
    ),
    _of(
        "n",
        "xs",
        "divisors",
        "[i for i in range(1, n + 1) if n % i == 0]",
        "xs = []\nfor i in range(1, n + 1):\n    if n % i == 0:\n        xs.append(i)",
        "list the divisors of the number",
        "make a list of the divisors",
    ),
    _of(
        "n",
        "flag",
        "iseven",
        "n % 2 == 0",
        "flag = False\nif n % 2 == 0:\n    flag = True",
        "tell if the number is even",
        "check that the number is even",
    ),
    _of(
        "n",
        "flag",
        "isabove",
        "n > {k}",
        "flag = False\nif n > {k}:\n    flag = True",
        "tell if the number is above {k}",
        "check that the number is greater than {k}",
        k=_SMALL,
    ),
    # string -> string
    _of(
        "s",
        "s",
        "upper",
        "s.upper()",
        'out = ""\nfor c in s:\n    out += c.upper()\ns = out',
        "make all letters upper case",
        "convert the text to upper case",
    ),
    _of(
        "s",
        "s",
        "capital",
        "s[:1].upper() + s[1:]",
        "if s:\n    s = s[0].upper() + s[1:]",
        "make the first letter upper case",
        "start the text with a capital letter",
    ),
    _of(
        "s",
        "s",
        "backwards",
        "s[::-1]",
        'out = ""\nfor c in s:\n    out = c + out\ns = out',
        "reverse the text",
        "write the text backwards",
    ),
    _of(
        "s",
        "s",
        "start",
        "s[:{k}]",
        'out = ""\nfor c in s:\n    if len(out) < {k}:\n        out += c\ns = out',
        "keep the first {k} characters",
        "take the first {k} letters",
        k=_SMALL,
    ),
    _of(
        "s",
        "s",
        "end",
        "s[-{k}:]",
        "while len(s) > {k}:\n    s = s[1:]",
        "keep the last {k} characters",
        "take the last {k} letters",
        k=_SMALL,
    ),
    _of(
        "s",
        "s",
        "dropstart",
        "s[{k}:]",
        "for i in range({k}):\n    s = s[1:]",
        "drop the first {k} characters",
        "remove the first {k} letters",
        k=_FEW,
    ),
    _of(
        "s",
        "s",
        "doubled",
        '"".join(c + c for c in s)',
        'out = ""\nfor c in s:\n    out += c + c\ns = out',
        "double each character",
        "write each letter twice",
    ),
    _of(
        "s",
        "s",
        "again",
        "s + s",
        "s = s * 2",
        "repeat the text twice",
        "append the text to itself",
    ),
    _of(
        "s",
        "s",
        "sorted",
        '"".join(sorted(s))',
        'cs = list(s)\ncs.sort()\ns = "".join(cs)',
        "sort the characters",
        "put the letters in rising order",
    ),
    _of(
        "s",
        "s",
        "replace",
        's.replace("{k}", "x")',
        'out = ""\nfor c in s:\n    if c == "{k}":\n        c = "x"\n    out += c\ns = out',
        "replace each {k} by x",
        "write x instead of each {k}",
        k=_LETTERS,
    ),
    _of("s", "s", "shout", 's + "!"', 's += "!"', "add ! at the end", "append ! to the text"),
    _chars("novowels", 'c not in "aeiou"', "remove the vowels", "drop all vowels"),
    _chars("vowels", 'c in "aeiou"', "keep only the vowels", "remove all characters but vowels"),
    _chars("nospaces", 'c != " "', "remove the spaces", "drop all spaces"),
    _chars("noletter", 'c != "{k}"', "remove the letter {k}", "drop each letter {k}", k=_LETTERS),
    # string -> integer, words
    _of(
        "s",
        "n",
        "size",
        "len(s)",
        "n = 0\nfor c in s:\n    n += 1",
        "count the characters",
        "compute the length of the text",
    ),
    _count(
        "countvowels", 'c in "aeiou"', "count the vowels", "find how many vowels there are", of="s"
    ),
    _count(
        "countletter",
        'c == "{k}"',
        "count the letter {k}",
        "find how many times {k} occurs",
        k=_LETTERS,
        of="s",
    ),
    _of(
        "s",
        "ws",
        "split",
        "s.split()",
        "ws = []\nfor w in s.split():\n    ws.append(w)",
        "split the text into words",
        "make a list of the words",
    ),
    # words
    _map(
        "wordsup",
        "w.upper()",
        "make each word upper case",
        "convert all words to upper case",
        of="ws",
    ),
    _map("wordsback", "w[::-1]", "reverse each word", "write each word backwards", of="ws"),
    _map(
        "heads",
        "w[0]",
        "take the first letter of each word",
        "replace each word by the first letter",
        of="ws",
    ),
    _map(
        "wordstart",
        "w[:{k}]",
        "keep the first {k} letters of each word",
        "cut each word after {k} letters",
        k=_FEW,
        of="ws",
    ),
    _filter(
        "longer",
        "len(w) > {k}",
        "keep words longer than {k}",
        "keep the words with more than {k} letters",
        k=_FEW,
        of="ws",
    ),
    _filter(
        "shorter",
        "len(w) < {k}",
        "keep words shorter than {k}",
        "keep the words with less than {k} letters",
        k=_SMALL[1:5],
        of="ws",
    ),
    _of(
        "ws",
        "ws",
        "sortwords",
        "sorted(ws)",
        "ws = list(ws)\nws.sort()",
        "sort the words",
        "put the words in rising order",
    ),
    _of(
        "ws",
        "ws",
        "bylength",
        "sorted(ws, key=len)",
        "ws = list(ws)\nws.sort(key=len)",
        "sort the words by length",
        "put short words first",
    ),
    _of(
        "ws",
        "ws",
        "reversewords",
        "ws[::-1]",
        "ws = list(ws)\nws.reverse()",
        "reverse the list of words",
        "put the words in reverse order",
    ),
    _of(
        "ws",
        "s",
        "join",
        '" ".join(ws)',
        's = ""\nfor w in ws:\n    s += " " + w\ns = s[1:]',
        "join the words with spaces",
        "put the words together with spaces",
    ),
    _of(
        "ws",
        "s",
        "dash",
        '"-".join(ws)',
        's = ""\nfor w in ws:\n    s += "-" + w\ns = s[1:]',
        "join the words with dashes",
        "put the words together with dashes",
    ),
    _of(
        "ws",
        "n",
        "countwords",
        "len(ws)",
        "n = 0\nfor w in ws:\n    n += 1",
        "count the words",
        "find how many words there are",
    ),
    _of(
        "ws",
        "xs",
        "lengths",
        "[len(w) for w in ws]",
        "xs = []\nfor w in ws:\n    xs.append(len(w))",
        "take the length of each word",
        "list the word lengths",
    ),
)


@cache
def taking(kind: str) -> tuple[Primitive, ...]:
    """The blocks that accept a value of this type."""
    return tuple(block for block in PRIMITIVES if block.takes == kind)


@cache
def run_block(block: Primitive, constant: str) -> Any:
    """The short style of a block as a Python function of one value."""
    return eval(f"lambda {block.takes}: {block.expression.replace('{k}', constant)}")
