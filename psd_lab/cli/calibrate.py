"""`psd calibrate`: find a draft graph for a model and a policy."""

from __future__ import annotations

from typing import Annotated

import typer

from psd_lab.cli.options import Model, checkpoint, known, names, pairs, task_names

GREEDY = "greedy"

Tasks = Annotated[
    str, typer.Option(metavar="A,B", help="Whose validation items.", autocompletion=task_names)
]
Items = Annotated[int, typer.Option(metavar="N", help="How many items, spread over the tasks.")]
Policy = Annotated[str, typer.Option(metavar="NAME", help="greedy or a policy of psd decoders.")]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", "-o", metavar="NAME=VALUE", help="Option of the policy, e.g. -o threshold=0.9."
    ),
]
Nodes = Annotated[int, typer.Option(metavar="N", help="How many states the graph keeps.")]
Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of the graph.", show_default="MODEL-POLICY"),
]


def option_names(policy: str) -> list[str]:
    """Return what -o may set: two of the calibration, the policy's options, and those of any run.

    Raises:
        UserError: there is no such policy.
    """
    from psd_lib import POLICIES
    from psd_lib.core.parts import RUN_OPTIONS, open_fields

    known("policy", policy, [GREEDY, *POLICIES])
    own = [] if policy == GREEDY else [option.name for option in open_fields(POLICIES[policy])]
    return ["horizon", "vocabulary", *own, *RUN_OPTIONS]


def calibrate(
    model: Model = "mini-sdar",
    tasks: Tasks = "mini-gsm,mini-humaneval,mini-mbpp",
    items: Items = 50,
    policy: Policy = GREEDY,
    option: Options = None,
    nodes: Nodes = 16,
    name: Name = None,
) -> None:
    """Find a draft graph for a model and a policy.

    Decodes validation items with the bare policy, counts which later states it reaches, keeps the
    best, and writes them to data/graphs (Spiffy, arXiv 2509.18085). Then --decoder spiffy -o
    drafter=calibrated -o graph=NAME drafts them.
    """
    options = pairs("-o", option)
    chosen = names("--tasks", tasks)
    for one in chosen:
        known("task", one, task_names())

    import psd_lib
    from psd_lab import calibration, paths
    from psd_lab import tasks as all_tasks
    from psd_lab.training.places import check_writable

    accepted = option_names(policy)
    for key in options:
        known(f"option of {policy}", key, accepted)
    check_writable(paths.GRAPHS)  # before all the decoding
    with checkpoint(model):
        loaded = psd_lib.load(model)
    found = [all_tasks.get(one) for one in chosen]
    graph = calibration.calibrate(
        loaded, found, items, name=name, nodes=nodes, policy=policy, progress=True, **options
    )
    target = calibration.save(graph, paths.GRAPHS)
    print(f"{len(graph.formulas)} states from {graph.states} recorded ones in {target}")
