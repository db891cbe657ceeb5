"""Executing one notebook: refuse parameters that it does not have, run it, keep nothing of the
machine in it.
"""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from psd_lab.paths import NOTEBOOKS, ROOT
from psd_lab.progress import reported
from psd_lib.errors import UserError

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
TYPES = {"str": str, "int": int, "float": (float, int), "bool": bool, "list": list}


def find(pattern: str = "*", folder: Path | None = None) -> list[Path]:
    """List the notebooks whose name contains a glob pattern, in the order of their numbers.

    Raises UserError when there is none, listing those there are.
    """
    paths = sorted((folder or NOTEBOOKS).glob("*.ipynb"))
    found = [path for path in paths if fnmatch.fnmatch(path.name, f"*{pattern}*")]
    if not found:
        known = ", ".join(path.stem for path in paths)
        raise UserError(
            f"No notebook matches {pattern!r}: use {known or 'a folder that has notebooks'}."
        )
    return found


def check(path: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook's parameters cell does not declare, or declares with
    another type.

    Papermill would only log the first and pass the second. The cell must read `NAME: type =
    default` with a type of str, int, float, bool or list. Raises UserError.
    """
    import papermill

    declared = papermill.inspect_notebook(str(path))
    for name, value in parameters.items():
        if name not in declared:
            raise UserError(
                f"{path.name} has no parameter {name!r}: it takes {', '.join(declared) or 'none'}."
            )
        kind = declared[name]["inferred_type_name"].split("[")[0]
        if kind not in TYPES:
            types = ", ".join(TYPES)
            raise UserError(
                f"{path.name} must declare {name} as `{name}: type = default` with a type of"
                f" {types}."
            )
        if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise UserError(f"Parameter {name} of {path.name} must be {kind}, not {value!r}.")


def default(path: Path, name: str) -> str | None:
    """Return the source text of a declared parameter's default, None where it is not declared."""
    import papermill

    return papermill.inspect_notebook(str(path)).get(name, {}).get("default")


def execute(
    path: Path,
    output: Path,
    parameters: Mapping[str, Any],
    show: Callable[[str], None] | None = None,
) -> None:
    """Run a notebook in its own kernel and folder and write the executed copy; `show` gets its
    progress lines.

    Unless `show` is given they are printed below the bar of this process, or reported to the one
    that started it.

    Raises UserError when a cell fails, naming the cell's error and the copy that holds the
    traceback.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    check(path, parameters)
    output.parent.mkdir(parents=True, exist_ok=True)
    draft = output.with_name(f".{output.name}")
    try:
        with reported(show):
            papermill.execute_notebook(
                str(path),
                str(draft),
                parameters=dict(parameters),
                kernel_name=KERNEL["name"],
                cwd=str(path.parent),
                progress_bar=False,
            )
    except PapermillExecutionError as error:
        failed = output.with_suffix(".failed.ipynb")
        os.replace(draft, failed)
        raise UserError(
            f"{path.name} failed with {error.ename}: {error.evalue}; the traceback is in {failed},"
            " and finished rows are kept, so the next run goes on from here."
        ) from None
    clean(draft)
    os.replace(draft, output)


def clean(path: Path) -> None:
    """Remove from an executed notebook what differs between machines and runs but is no result.

    That is papermill's and widgets' metadata, cell timings, interpreter versions, and the project's
    absolute path.
    """
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {"tags": tags} if (tags := cell.metadata.get("tags")) else {}
        )
    text = nbformat.writes(notebook)
    path.write_text(text.replace(json.dumps(f"{ROOT}/")[1:-1], "") + "\n", encoding="utf-8")
