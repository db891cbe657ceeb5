"""What there is, line by line: the tasks, decoders and models that the `psd` command lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from psd_lab import paths

if TYPE_CHECKING:
    from psd_lib import Decoder


def decoders() -> Iterator[str]:
    """Every decoder with its plugs and its source, the names that options may take, and where
    options are explained.
    """
    from psd_lib import ACCEPTORS, CACHES, DECODERS, DRAFTERS, POLICIES, STOPS
    from psd_lib.core.parts import PARTS

    yield from columns(
        [
            ("DECODER", *(kind.upper() for kind in PARTS), "SOURCE"),
            *((name, *plugs(preset), preset.source) for name, preset in DECODERS.items()),
        ]
    )
    yield ""
    yield (
        "a decoder is its plugs, all in one loop; * may be exchanged by name, and without drafts"
        " there is nothing to accept:"
    )
    for option, registry in (
        ("policy", POLICIES),
        ("drafter", DRAFTERS),
        ("acceptor", ACCEPTORS),
        ("cache", CACHES),
        ("stop", STOPS),
    ):
        yield (
            f"{option}{' rule' * (option == 'stop')} (-o {option}=NAME, where a decoder leaves it"
            f" open): {', '.join(registry)}"
        )
    yield (
        "an option that a decoder does not have is refused with those that it has, e.g. psd"
        " generate --decoder psd -o help=1 x"
    )


def plugs(decoder: Decoder) -> list[str]:
    """The names of a decoder's policy, drafter, acceptor and stop rule, "-" for none, * where
    another one may be asked for.
    """
    from psd_lib.core.parts import parts_of

    found = []
    for kind, part in parts_of(decoder).items():
        nothing = kind == "acceptor" and decoder.drafter.depth == 0
        absent = part is None or part.name == "none" or nothing
        found.append(("-" if absent else part.name) + "*" * (kind in decoder.exchange))
    return found


def tasks() -> Iterator[str]:
    """Every task with its description, and the protocol profiles that run each benchmark, its own
    one first.
    """
    from psd_lab import tasks as known
    from psd_lab.tasks.benchmarks import SPECS

    yield from columns((name, known.describe(name)) for name in known.embedded())
    yield ""
    for name in known.benchmark_names():
        own = SPECS[name].default_profile
        yield from columns([(name, known.describe(name))])
        yield from columns(
            [
                (
                    "",
                    (
                        "profiles:"
                        f" {', '.join([own, *(profile for profile in known.profiles(name) if profile != own)])}"
                    ),
                )
            ]
        )
    yield ""
    yield (
        "embedded tasks are generated (psd tasks NAME writes their files again); benchmarks come"
        " from the Hub or --data-dir"
    )


def models() -> Iterator[str]:
    """Every embedded checkpoint and every released one that is supported, with family, block length
    and memory.
    """
    from psd_lib.models import FAMILIES, SUPPORTED

    rows = [("MODEL", "FAMILY", "BLOCK", "WEIGHTS", "REVISION")]
    for path in paths.files(paths.MODELS, "*/config.json"):
        raw = json.loads(path.read_text(encoding="utf-8"))
        size = sum(file.stat().st_size for file in path.parent.glob("*.safetensors"))
        rows.append(
            (
                path.parent.name,
                raw["model_type"],
                str(raw.get("block_size", "")),
                f"{size / 1e6:.1f} MB",
                "embedded",
            )
        )
    for entry in SUPPORTED.values():
        told = entry.repo.rpartition("-b")[2]
        block = told if told.isdecimal() else str(FAMILIES[entry.family].default_block_length)
        revision = entry.revision[:7] if entry.revision else "main"
        rows.append((entry.repo, entry.family, block, f"{entry.memory:.1f} GB", revision))
    yield from columns(rows)
    yield ""
    yield (
        "weights of released checkpoints are in bfloat16; any other checkpoint of these families"
        " loads from a folder or the Hub too"
    )


def columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows of texts as lines, each column as wide as its longest entry and the first at least 16."""
    rows = list(rows)
    widths = (
        [max(16 * (at == 0), *(len(row[at]) for row in rows)) for at in range(len(rows[0]))]
        if rows
        else []
    )
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
