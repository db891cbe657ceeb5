"""Which names of a test program mean the candidate's functions, which mean modules."""

from __future__ import annotations

import ast
import builtins
import sys
from functools import lru_cache
from typing import Any

from psd_lab.sandbox.verdict import Tests
from psd_lib.errors import UserError


@lru_cache(maxsize=4096)
def plan(tests: Tests) -> dict[str, Any]:
    """Plan how the judge runs tests.

    Returns the candidate's names, the modules to import, and the name that `check` gets, if any.

    A free name is the candidate's unless it is a built-in or, before a dot, a module of the
    standard library (`sys.getsizeof` in a test whose import stands in the solution). A built-in's
    name is the candidate's only if the tests use nothing else of it: `assert sum(10, 15) == 6`.
    Otherwise a candidate could redefine what its tests compare with.

    Raises:
        UserError: The tests do not parse or are empty.
    """
    try:
        trees = [ast.parse(text) for text in (tests.prelude, tests.source)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = str(error) or type(error).__name__
        raise UserError(f"the tests are not a Python program ({why}).") from None
    if not trees[1].body:
        raise UserError("the tests are empty, and every code would pass them.")
    free, modules = _free_names(trees)
    has_check = any(
        isinstance(node, ast.FunctionDef) and node.name == "check" for node in trees[1].body
    )
    called = tests.entry_point if has_check else None
    if tests.entry_point and not has_check:
        free.add(tests.entry_point)
    elif not called and not free:
        free = _tested_builtins(trees[1])
    return {
        "names": sorted(free),
        "modules": sorted(modules),
        "check": called,
        "prelude": tests.prelude,
        "source": tests.source,
    }


def _free_names(trees: list[ast.Module]) -> tuple[set[str], set[str]]:
    nodes = [node for tree in trees for node in ast.walk(tree)]
    bound = set().union(*map(_bindings, nodes)) | set(dir(builtins)) | {"__name__"}
    read = {node.id for node in nodes if isinstance(node, ast.Name)} - bound
    before_dot = {
        node.value.id
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    modules = {name for name in read & before_dot if name in sys.stdlib_module_names}
    return read - modules, modules


def _bindings(node: ast.AST) -> set[str]:
    """List the names that a node of the program defines itself."""
    if isinstance(node, ast.Name):
        return set() if isinstance(node.ctx, ast.Load) else {node.id}
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, ast.alias):
        return {(node.asname or node.name).split(".")[0]}
    return {node.name} if isinstance(node, ast.ExceptHandler) and node.name else set()


def _tested_builtins(tree: ast.Module) -> set[str]:
    """Take the innermost call of each statement as what is tested, if all have one name."""
    found = set()
    for statement in tree.body:
        calls = [
            node
            for node in ast.walk(statement)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        # Walked breadth first: a call inside another comes later, and left comes before right.
        inner = [
            call
            for call in calls
            if not any(other is not call and other in ast.walk(call) for other in calls)
        ]
        found.update(call.func.id for call in inner[:1])
    return found if len(found) == 1 else set()
