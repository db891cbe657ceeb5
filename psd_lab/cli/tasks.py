"""`psd tasks`: list tasks, or write generated task files again."""

from __future__ import annotations

from typing import Annotated

import typer

from psd_lab.cli.options import known, task_names


def tasks(
    name: Annotated[
        list[str] | None,
        typer.Argument(
            help="Embedded tasks whose files to write again, from their seeds.",
            show_default=False,
            autocompletion=task_names,
        ),
    ] = None,
) -> None:
    """List tasks and benchmarks, or write task files again."""
    from psd_lab import listings
    from psd_lab import tasks as all_tasks
    from psd_lab.files import refusal
    from psd_lab.tasks import fixed

    for one in name or ():
        known("task", one, all_tasks.names())
    chosen = [all_tasks.get(one) for one in dict.fromkeys(name or ())]
    for task in chosen:
        try:
            written = fixed.write(task)
        except OSError as error:
            raise refusal(fixed.manifest_path(task).parent, error) from None
        print(f"{task.name}: {written}")
    if not chosen:
        listings.show(listings.tasks())
