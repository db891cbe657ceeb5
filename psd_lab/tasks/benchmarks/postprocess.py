"""Make a program of a completion.

VERSION counts every change of a rule, mends included, so that stored completions are judged again;
the number in a name tells ways apart that sources use.

fence-entry-1 is reconstructed from the description of what Fast-dLLM's and Dream's evaluations do
with HumanEval; the others are what their names say.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable

VERSION = "programs-2"
# A fence opens with three or more backticks (or tildes) and a tag, alone on the rest of the line:
# ```python, ``` Python3, ```py title="x.py", ```{.python}, ~~~python. The tag python-repl is not
# meant: what follows it is a transcript.
_TAG = r"[ \t]*\{?[ \t]*\.?(?:i?python|py)[\d.]*(?![\w+-])"
_OPEN = re.compile(rf"(?P<fence>`{{3,}}|^~{{3,}}){_TAG}[^\n`]*\r?\n", re.IGNORECASE | re.MULTILINE)
# A fence of any language, not one that is closed before a sentence.
_ANY_OPEN = re.compile(r"(?P<fence>`{3,})[ \t]*[^\s`]*(?:[ \t]+[^\s`]+=[^\s`]+)*[ \t]*\r?\n")
# Code that starts on the line of its fence, with nothing before: ```python def f(): ...```
_SAME_LINE = re.compile(rf"\s*(?P<fence>`{{3,}})(?:{_TAG}[ \t]+)?", re.IGNORECASE)
_LINES = 100


def fenced(text: str) -> str:
    """Take the code between the first Python fence and the next fence.

    Without a Python fence the first fence of any language counts; a fence that is only closed was
    opened by the prompt; without any the whole text is code.

        "Here:\\n```python3\\nx = 1\\n```\\nDone." -> "x = 1\\n"
    """
    opening = _OPEN.search(text)
    if opening is None and text.count("```") > 1:
        opening = _ANY_OPEN.search(text) or _SAME_LINE.match(text)
    if opening is None:
        return text.split("```", 1)[0]
    return text[opening.end() :].split(opening["fence"], 1)[0]


def between_marks(text: str) -> str:
    """Take what stands between [BEGIN] and [DONE], each where present, and its fenced code."""
    return fenced(text.rsplit("[BEGIN]", 1)[-1].split("[DONE]", 1)[0])


def parse(code: str) -> ast.Module | None:
    """Return the tree of a program; None when it does not parse or is nested too deeply."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def longest_parsable(text: str) -> str:
    """Find the run of lines that parses and has most lines that are not blank.

    Only the first 100 lines count.
    Ties: the earliest run; of runs that differ in blank lines at their end only, the longest.
    """
    lines = text.split("\n")[:_LINES]
    filled = [0]
    for line in lines:
        filled.append(filled[-1] + bool(line.strip()))
    best, most = "", 0
    for start in range(len(lines)):
        for end in range(len(lines), start, -1):
            if filled[end] - filled[start] <= most:
                break
            run = "\n".join(lines[start:end])
            if parse(run) is not None:
                best, most = run, filled[end] - filled[start]
                break
    return best


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    return [
        name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
    ]


def _returns(node: ast.stmt) -> bool:
    return not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or any(
        isinstance(part, ast.Return) for part in ast.walk(node)
    )


def needed(code: str, entry_point: str) -> str:
    """Keep imports and the top-level definitions that the entry point needs.

    Of several definitions of a name the first that returns something counts, so that a prompt's
    bare signature gives way to the function written after it and a second attempt does not replace
    the first; without one, the last.
    """
    tree = parse(code)
    if tree is None:
        return code
    chosen: dict[str, ast.stmt] = {}
    for node in tree.body:
        for name in _names(node):
            if name not in chosen or not _returns(chosen[name]):
                chosen[name] = node
    waiting, wanted = [entry_point], set()
    while waiting:
        name = waiting.pop()
        if name in chosen and name not in wanted:
            wanted.add(name)
            waiting += [part.id for part in ast.walk(chosen[name]) if isinstance(part, ast.Name)]
    kept = {id(chosen[name]) for name in wanted}
    return (
        "\n".join(
            ast.unparse(node)
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom) or id(node) in kept
        )
        + "\n"
    )


def _fence_entry(completion: str, prompt: str, entry_point: str) -> str:
    return needed(longest_parsable(prompt + "\n" + fenced(completion)), entry_point)


Postprocess = Callable[[str, str, str], str]
POSTPROCESS: dict[str, Postprocess] = {
    "as-is-1": lambda completion, prompt, entry_point: completion,
    "prompt-as-is-1": lambda completion, prompt, entry_point: prompt + completion,
    "fence-1": lambda completion, prompt, entry_point: fenced(completion),
    "begin-done-1": lambda completion, prompt, entry_point: between_marks(completion),
    "fence-entry-1": _fence_entry,
}
