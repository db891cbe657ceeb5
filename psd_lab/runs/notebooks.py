"""Executing one notebook: refuse parameters that it does not have, run it, keep nothing of the
machine in it.
"""

from __future__ import annotations

import fnmatch
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psd_lab.extras import require
from psd_lab.files import refusal, write_atomically
from psd_lab.paths import NOTEBOOKS, ROOT, files, root_for_children
from psd_lab.progress import reported
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from nbformat import NotebookNode

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
OWN = "psd"  # the key of a notebook's metadata under which it declares its experiments
TYPES = {"str": str, "int": int, "float": (float, int), "bool": bool, "list": list}
NEEDED = (
    "ipykernel",
    "jupyter_client",
    "matplotlib",
    "nbclient",
    "nbformat",
    "papermill",
    "seaborn",
)


def find(pattern: str = "*", folder: Path | None = None) -> list[Path]:
    """List the notebooks whose name contains a glob pattern, in the order of their numbers.

    Raises:
        UserError: There is none; the message lists those there are.
    """
    paths = [
        path for path in files(folder or NOTEBOOKS, "*.ipynb") if not path.name.startswith(".")
    ]
    found = [path for path in paths if fnmatch.fnmatch(path.name, f"*{pattern}*")]
    if not found:
        known = ", ".join(path.stem for path in paths)
        raise UserError(
            f"No notebook matches {pattern!r}: use {known or 'a folder that has notebooks'}."
        )
    return found


def read(path: Path) -> NotebookNode:
    """Read a notebook.

    Raises:
        UserError: The file is not a notebook, or nbformat is not installed.
    """
    require("notebooks", "nbformat", purpose="Reading notebooks")
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, TypeError, AttributeError, KeyError, nbformat.ValidationError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{path} is not a notebook ({why}): restore it.") from None


def declared(path: Path) -> tuple[str, ...]:
    """Return the experiments whose rows a notebook uses, by its metadata `psd: {experiments: ...}`.

    They are decoded side by side before the notebook runs; those that it does not declare it
    decodes itself.

    Raises:
        UserError: The declaration is not a list of names.
    """
    own = read(path).metadata.get(OWN, {})
    names = own.get("experiments", []) if isinstance(own, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"The metadata of {path.name} must declare its experiments as"
            f' "{OWN}": {{"experiments": ["spatial", ...]}}, not {own!r}.'
        )
    return tuple(names)


def check(path: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook's parameters cell does not declare, or declares with
    another type.

    Papermill would only log the first and pass the second. The cell must read `NAME: type =
    default` with a type of str, int, float, bool or list.

    Raises:
        UserError: A parameter is unknown or has another type.
    """
    known = _parameters(path)
    for name, value in parameters.items():
        if name not in known:
            raise UserError(
                f"{path.name} has no parameter {name!r}: it takes {', '.join(known) or 'none'}."
            )
        kind = known[name]["inferred_type_name"].split("[")[0]
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
    return _parameters(path).get(name, {}).get("default")


def _parameters(path: Path) -> dict[str, Any]:
    read(path)  # a sentence where papermill would end in a traceback
    require("notebooks", "papermill", purpose="Executing notebooks")
    import papermill

    return papermill.inspect_notebook(str(path))


def execute(
    path: Path,
    output: Path,
    parameters: Mapping[str, Any],
    show: Callable[[str], None] | None = None,
    failed: Path | None = None,
) -> None:
    """Run a notebook in a kernel of this interpreter and write the executed copy once it is whole.

    Args:
        parameters: Values for the notebook's parameters cell.
        show: Gets the notebook's progress lines. Unless it is given they are printed below the bar
            of this process, or reported to the one that started it.
        failed: Where the copy of a notebook that failed goes; beside `output` unless given.

    Raises:
        UserError: A cell fails (the message has its error and the copy with the traceback), the
            kernel dies, a package is missing, or the disk is full.
    """
    check(path, parameters)
    require("notebooks", *NEEDED, purpose="Executing notebooks")
    failed = failed or output.with_suffix(".failed.ipynb")
    with tempfile.TemporaryDirectory(prefix="psd-") as folder:
        draft = Path(folder, path.name)
        try:
            with reported(show), root_for_children():
                _run(path, draft, parameters)
        except OSError as error:
            raise refusal(output, error) from None
        except _cell_errors() as error:
            write_atomically(failed, draft.read_bytes())
            raise UserError(
                f"{path.name} failed with {error.ename}: {error.evalue}; the traceback is in"
                f" {failed}, and finished rows are kept, so the next run goes on from here."
            ) from None
        except RuntimeError as error:
            why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise UserError(
                f"The kernel of {path.name} ended before the notebook did ({why}; out of memory?):"
                " finished rows are kept, so the next run goes on from here."
            ) from None
        write_atomically(output, cleaned(read(draft)))
    failed.unlink(missing_ok=True)


def _run(path: Path, draft: Path, parameters: Mapping[str, Any]) -> None:
    import papermill

    from psd_lab.runs.kernel import NAME, OwnKernel

    papermill.execute_notebook(
        str(path),
        str(draft),
        parameters=dict(parameters),
        kernel_name=NAME,
        kernel_manager_class=OwnKernel,
        cwd=str(path.parent),
        progress_bar=False,
    )


def _cell_errors() -> type[Exception]:
    from papermill.exceptions import PapermillExecutionError

    return PapermillExecutionError


def cleaned(notebook: NotebookNode) -> str:
    """Return the text of an executed notebook without what differs between machines and runs but is
    not a result.

    That is papermill's and widgets' metadata, cell timings, interpreter versions, and the project's
    absolute path.
    """
    import nbformat

    own = {OWN: notebook.metadata[OWN]} if OWN in notebook.metadata else {}
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNEL, "language_info": {"name": "python"}, **own}
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {"tags": tags} if (tags := cell.metadata.get("tags")) else {}
        )
    text = nbformat.writes(notebook)
    for written in (json.dumps(f"{ROOT}/", ensure_ascii=False), json.dumps(f"{ROOT}/")):
        text = text.replace(written[1:-1], "")
    return text + "\n"
