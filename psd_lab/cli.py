"""The `psd` command. Bad input is one sentence on stderr and exit code 2; heavy imports wait for
their subcommand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psd_lib
from psd_lib.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0, 2 for bad input, 130 when interrupted."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except UserError as error:
        print(f"psd: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "psd: interrupted; finished work is kept, run the same command again to go on",
            file=sys.stderr,
        )
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="psd", description="Training-free parallel decoding of diffusion language models."
    )
    parser.add_argument("--version", action="version", version=f"psd {psd_lib.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    _add_reproduce(commands)
    generate = commands.add_parser(
        "generate", help="decode a prompt", epilog="Options of the decoder: psd decoders."
    )
    generate.add_argument("prompt", nargs="+", help="one or more prompts")
    generate.add_argument(
        "--model",
        default="mini-sdar",
        help="embedded name, folder or Hub repository (default: mini-sdar)",
    )
    generate.add_argument("--revision", help="revision of a Hub repository")
    generate.add_argument("--decoder", default="psd", help="see psd decoders (default: psd)")
    generate.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="e.g. -o threshold=0.9 -o depth=3",
    )
    generate.set_defaults(run=_generate)

    train = commands.add_parser("train", help="train an embedded model; resumes where it stopped")
    train.add_argument("--model", default="mini-sdar", help="which one (default: mini-sdar)")
    train.add_argument("--out", help="folder for the checkpoint (default: data/models/<model>)")
    train.add_argument(
        "--minutes",
        type=float,
        help="limit on the time of training (default: none but the recipe's steps)",
    )
    train.add_argument("--device", help="cpu or cuda (default: a GPU where there is one)")
    train.add_argument("--fresh", action="store_true", help="start again instead of resuming")
    train.set_defaults(run=_train)

    calibrate = commands.add_parser(
        "calibrate",
        help="find a draft graph for a model and a policy (Spiffy) and write it to data/graphs",
        description=(
            "Decodes validation items with the bare policy, counts which later states it reaches,"
            " and keeps the best. Then --decoder spiffy -o builder=calibrated -o graph=NAME drafts"
            " them."
        ),
    )
    calibrate.add_argument(
        "--model",
        default="mini-sdar",
        help="embedded name, folder or Hub repository (default: mini-sdar)",
    )
    calibrate.add_argument(
        "--tasks",
        default="mini-gsm,mini-humaneval,mini-mbpp",
        metavar="A,B",
        help="whose validation items (default: %(default)s)",
    )
    calibrate.add_argument(
        "--items", type=int, default=50, help="how many items, spread over the tasks (default: 50)"
    )
    calibrate.add_argument(
        "--policy", default="greedy", help="greedy or a policy of psd decoders (default: greedy)"
    )
    calibrate.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the policy, e.g. -o threshold=0.9",
    )
    calibrate.add_argument(
        "--nodes", type=int, default=16, help="how many states the graph keeps (default: 16)"
    )
    calibrate.add_argument("--name", help="of the graph (default: <model>-<policy>)")
    calibrate.set_defaults(run=_calibrate)

    tasks = commands.add_parser(
        "tasks", help="list tasks and benchmarks, or write generated task files again"
    )
    tasks.add_argument(
        "name", nargs="*", help="embedded tasks whose files to write again, from their seeds"
    )
    tasks.set_defaults(run=_tasks)

    bench = commands.add_parser(
        "bench", help="time decoders and the loop's own cost: a table and one JSON line"
    )
    bench.add_argument(
        "--model",
        default="mini-sdar",
        help="embedded name, folder or Hub repository (default: mini-sdar)",
    )
    bench.add_argument("--task", default="mini-gsm", help="whose prompts (default: mini-gsm)")
    bench.add_argument("--items", type=int, default=16, help="how many prompts (default: 16)")
    bench.add_argument(
        "--batch-size", type=int, default=16, help="prompts decoded together (default: 16)"
    )
    bench.add_argument(
        "--repeats", type=int, default=3, help="counted rounds after one warm-up (default: 3)"
    )
    bench.add_argument("--cache", default="none", help="cache plan (default: none)")
    bench.set_defaults(run=_bench)

    commands.add_parser(
        "decoders", help="list the decoders and what they are made of"
    ).set_defaults(run=_decoders)
    commands.add_parser(
        "models", help="list embedded and supported released checkpoints"
    ).set_defaults(run=_models)
    return parser


def _add_reproduce(commands: argparse._SubParsersAction) -> None:
    reproduce = commands.add_parser(
        "reproduce",
        help="execute the notebooks: every table and figure",
        description=(
            "Decode what is missing, execute the notebooks, publish rows, tables and claims of a"
            " tier. A run that is stopped goes on where it was. Tier paper needs a GPU: it checks"
            " what is there, prints a cost estimate from measured calls, then decodes."
        ),
        epilog=(
            "With --models, --tasks, --profile, --data-dir or --dtype the tier's published tables"
            " are left alone: results go to a folder of their own under data/results, which is"
            " printed."
        ),
    )
    reproduce.add_argument(
        "--tier",
        default="mini",
        help="how much to run, see data/configs/tiers.yaml (default: mini)",
    )
    reproduce.add_argument(
        "--notebooks", default="*", metavar="PATTERN", help="only those that match, e.g. '20*'"
    )
    reproduce.add_argument(
        "--limit", type=int, metavar="N", help="only the first N examples of each task"
    )
    reproduce.add_argument(
        "--models", metavar="A,B", help="these instead: embedded names, folders or Hub repositories"
    )
    reproduce.add_argument("--tasks", metavar="A,B", help="these instead, see psd tasks")
    reproduce.add_argument("--profile", help="the benchmarks' protocol, see data/profiles")
    reproduce.add_argument(
        "--data-dir", metavar="DIR", help="folder with the benchmarks' files (default: the Hub)"
    )
    reproduce.add_argument("--dtype", help="load weights as float32, bfloat16 or float16")
    reproduce.add_argument(
        "--dry-run", action="store_true", help="end after the checks and the cost estimate"
    )
    reproduce.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a notebook parameter",
    )
    reproduce.add_argument(
        "--in-place",
        action="store_true",
        help="refresh the outputs kept in notebooks/ (their own tier)",
    )
    reproduce.set_defaults(run=_reproduce)


def _reproduce(parsed: argparse.Namespace) -> None:
    from psd_lab.runs import Tier
    from psd_lab.runs.reproduce import reproduce

    full = Tier.load(parsed.tier)
    tier = full.narrow(
        limit=parsed.limit,
        models=_list(parsed.models),
        tasks=_list(parsed.tasks),
        profile=parsed.profile,
        data_dir=parsed.data_dir and str(Path(parsed.data_dir).expanduser().resolve()),
        dtype=parsed.dtype,
    )
    for sentence in reproduce(
        tier, parsed.notebooks, parsed.in_place, _options(parsed.parameter), parsed.dry_run
    ):
        print(sentence)
    if tier is not full:
        print(
            f"results of this narrowed run are in {tier.folder}; those of tier {full.name} stayed"
            " as they were"
        )


def _list(text: str | None) -> tuple[str, ...] | None:
    """The entries of a comma-separated option; None where it is not given."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _generate(parsed: argparse.Namespace) -> None:
    options = _options(parsed.option)
    model = psd_lib.load(parsed.model, revision=parsed.revision)
    out = psd_lib.generate(model, parsed.prompt, decoder=parsed.decoder, **options)
    for sequence in out:
        print(sequence.text)
        print(
            f"[{out.config.label}: {sequence.n_tokens} tokens, {sequence.nfe} forwards, TPF"
            f" {sequence.tpf:.2f}]",
            file=sys.stderr,
        )


def _train(parsed: argparse.Namespace) -> None:
    from psd_lab.training import train

    folder = train(
        parsed.model,
        parsed.out,
        resume=not parsed.fresh,
        minutes=parsed.minutes,
        device=parsed.device,
    )
    print(f"checkpoint in {folder}")


def _calibrate(parsed: argparse.Namespace) -> None:
    from psd_lab import calibration, tasks

    model, found = psd_lib.load(parsed.model), [tasks.get(name) for name in _list(parsed.tasks)]
    options = {
        "name": parsed.name,
        "nodes": parsed.nodes,
        "policy": parsed.policy,
        "progress": True,
        **_options(parsed.option),
    }
    graph = calibration.calibrate(model, found, parsed.items, **options)
    print(
        f"{len(graph.formulas)} states from {graph.states} recorded ones in"
        f" {calibration.save(graph)}"
    )


def _tasks(parsed: argparse.Namespace) -> None:
    from psd_lab import listings, tasks
    from psd_lab.tasks import fixed

    for task in [tasks.get(name) for name in parsed.name]:
        print(f"{task.name}: {fixed.write(task)}")
    if not parsed.name:
        print("\n".join(listings.tasks()))


def _bench(parsed: argparse.Namespace) -> None:
    from psd_lab.bench import main as measure

    measure(
        parsed.model, parsed.task, parsed.items, parsed.batch_size, parsed.repeats, parsed.cache
    )


def _decoders(_: argparse.Namespace) -> None:
    from psd_lab import listings

    print("\n".join(listings.decoders()))


def _models(_: argparse.Namespace) -> None:
    from psd_lab import listings

    print("\n".join(listings.models()))


def _options(pairs: Sequence[str]) -> dict[str, Any]:
    """Read NAME=VALUE pairs; a value is a YAML scalar, so numbers, booleans and text get their own
    types.
    """
    import yaml

    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"{pair!r} is not an option: write NAME=VALUE, e.g. threshold=0.9.")
        found[name] = yaml.safe_load(value)
    return found


if __name__ == "__main__":
    sys.exit(main())
