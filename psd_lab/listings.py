"""What there is, as pages of tables: the tasks, decoders, methods and models that `psd` lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from psd_lab import paths
from psd_lab.page import Page, Table, show

if TYPE_CHECKING:
    from psd_lib import DecodeConfig, Decoder

__all__ = ["decoder", "decoders", "methods", "models", "show", "tasks"]

NONE = "-"
# Options of every decoder: the fields of `DecodeConfig` that are no part of it.
RUN = {
    "block_length": "tokens of a block, null for the model's own",
    "gen_length": "most tokens to generate",
    "temperature": "0 always takes the most likely token; above it tokens are drawn",
    "seed": "of what is drawn",
    "cache": "what the model keeps between calls",
}


OUTPUTS = {
    "policy": "commits step by step by a rule of its own, without drafts",
    "exact": "drafts save calls, and outputs are those of its policy decoded step by step",
    "approximate": "outputs may differ from those of its policy",
}
RULES = {
    "as published": "follows the paper, or the code where that is the source",
    "reconstructed": "the rule or a part of it is not published and this is our reading",
}


def decoders() -> Page:
    """List every decoder with its parts, and the names that options may take."""
    from psd_lib import DECODERS
    from psd_lib.core.parts import PARTS
    from psd_lib.core.registry import KINDS

    yield Table(
        ("DECODER", *(kind.upper() for kind in PARTS)),
        [(name, *parts(one)) for name, one in DECODERS.items()],
    )
    yield ""
    yield (
        "a decoder is its parts, all in one loop; * may be exchanged by name, and without drafts"
        " there is nothing to accept:"
    )
    for option, (_, registry) in KINDS.items():
        yield (
            f"{option}{' rule' * (option == 'stop')} (-o {option}=NAME, where a decoder leaves it"
            f" open): {', '.join(registry)}"
        )
    yield "psd decoders NAME explains a decoder and its options, psd methods lists the papers"


def parts(decoder: Decoder) -> list[str]:
    """Return the names of a decoder's policy, drafter, acceptor and stop rule.

    "-" stands for none, and * marks where another one may be asked for.
    """
    from psd_lib.core.parts import parts_of

    return [
        (NONE if _absent(decoder, kind) else part.name) + "*" * (kind in decoder.exchange)
        for kind, part in parts_of(decoder).items()
    ]


def _absent(decoder: Decoder, kind: str) -> bool:
    """Whether there is no such part, or one that has nothing to do."""
    from psd_lib.core.parts import parts_of

    without_drafts = kind in ("drafter", "acceptor") and decoder.drafter.depth == 0
    return parts_of(decoder)[kind] is None or without_drafts


def decoder(name: str) -> Page:
    """Explain one decoder: what its outputs are, its parts, and its options."""
    from psd_lib import DECODERS, DecodeConfig
    from psd_lib.core.parts import parts_of

    chosen, config = DECODERS[name], DecodeConfig.make(name)
    yield f"{name}: {chosen.source}"
    yield f"outputs: {outputs(config)} ({OUTPUTS[outputs(config)]})"
    yield f"rule: {rule(config)} ({RULES[rule(config)]})"
    yield from (f"note: {note}" for note in config.notes)
    yield ""
    rows = [
        (kind, _named(part, kind in chosen.options), _summary(part))
        for kind, part in parts_of(chosen).items()
        if not _absent(chosen, kind)
    ]
    yield Table(("PART", "NAME", "MEANING"), rows)
    yield ""
    yield Table(("OPTION", "DEFAULT", "OF", "MEANING"), list(_options(chosen, config)))
    yield ""
    yield f"e.g. psd generate --decoder {name} -o gen_length=64 PROMPT"


def outputs(config: DecodeConfig) -> str:
    """Say in a word of OUTPUTS how completions compare with those of the policy alone."""
    if config.exact:
        return "exact" if config.drafts else "policy"
    return "approximate"


def rule(config: DecodeConfig) -> str:
    """Say in words of RULES whether the rule is published."""
    return "reconstructed" if config.reconstructed else "as published"


def _named(part: Any, is_open: bool) -> str:
    """Return a part's name, with the values of its options where a user may not set them."""
    fixed = "" if is_open else ", ".join(f"{key}={value}" for key, value in vars(part).items())
    return f"{part.name} ({fixed})" if fixed else part.name


def _options(decoder: Decoder, config: DecodeConfig) -> Iterator[tuple[str, str, str, str]]:
    from psd_lib.core.parts import RUN_OPTIONS, open_fields, parts_of
    from psd_lib.core.registry import KINDS

    for kind, part in parts_of(decoder).items():
        if kind in decoder.options and part is not None:
            for one in open_fields(part):
                default = written(getattr(part, one.name))
                yield one.name, default, part.name, one.metadata.get("meaning", "")
    for kind in decoder.exchange:
        default = NONE if _absent(decoder, kind) else parts_of(decoder)[kind].name
        yield kind, default, "decoder", f"another one: {', '.join(KINDS[kind][1])}"
    for name in RUN_OPTIONS:
        value = getattr(config, name)
        names = f": {', '.join(KINDS[name][1])}" if name in KINDS else ""
        yield name, written(getattr(value, "name", value)), "run", RUN[name] + names


def written(value: Any) -> str:
    """Return a value as one writes it behind -o NAME=."""
    return (
        str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
    )


def _summary(part: Any) -> str:
    """Return the first sentence of a class's docstring."""
    return re.split(r"(?<=\.)\s", " ".join(part.__doc__.split()))[0]


def methods() -> Page:
    """List decoders by their papers in the order of publication, those without a paper last."""
    from psd_lib import DECODERS, DecodeConfig

    rows = []
    for name, one in DECODERS.items():
        config = DecodeConfig.make(name)
        paper = re.search(r"arXiv (\d{4}\.\d{5})", one.source)
        title = re.split(r", arXiv|[:;]", one.source)[0]
        rows.append((paper[1] if paper else NONE, name, outputs(config), rule(config), title))
    rows.sort(key=lambda row: (row[0] == NONE, row[0]))
    yield Table(("ARXIV", "DECODER", "OUTPUTS", "RULE", "METHOD"), rows)
    yield ""
    yield from (f"{word}: {meaning}" for word, meaning in {**OUTPUTS, **RULES}.items())
    yield "psd decoders NAME has the whole source and what differs from it"


def tasks() -> Page:
    """List every task with its description, and the protocol profiles that run each benchmark.

    A benchmark's own profile comes first.
    """
    from psd_lab import tasks as known
    from psd_lab.tasks.benchmarks import SPECS

    rows = [(name, known.describe(name)) for name in known.embedded()]
    yield Table(("TASK", "DESCRIPTION"), rows)
    yield ""
    rows = []
    for name in known.benchmark_names():
        own = SPECS[name].default_profile
        profiles = [own, *(profile for profile in known.profiles(name) if profile != own)]
        rows += [(name, known.describe(name)), ("", f"profiles: {', '.join(profiles)}")]
    yield Table(("BENCHMARK", "DESCRIPTION"), rows)
    yield ""
    yield (
        "embedded tasks are generated (psd tasks NAME writes their files again); benchmarks come"
        " from the Hub or --data-dir"
    )


def models() -> Page:
    """List embedded checkpoints and supported released ones, with family, block and memory."""
    from psd_lib.models import FAMILIES, SUPPORTED

    rows = []
    for path in paths.files(paths.MODELS, "*/config.json"):
        raw = json.loads(path.read_text(encoding="utf-8"))
        size = sum(file.stat().st_size for file in path.parent.glob("*.safetensors"))
        block = str(raw.get("block_size", ""))
        rows.append(
            (path.parent.name, raw["model_type"], block, f"{size / 1e6:.1f} MB", "embedded")
        )
    for entry in SUPPORTED.values():
        end = entry.repo.rpartition("-b")[2]
        block = end if end.isdecimal() else str(FAMILIES[entry.family].default_block_length)
        revision = entry.revision[:7] if entry.revision else "main"
        rows.append((entry.repo, entry.family, block, f"{entry.memory:.1f} GB", revision))
    yield Table(("MODEL", "FAMILY", "BLOCK", "WEIGHTS", "REVISION"), rows)
    yield ""
    yield (
        "weights of released checkpoints are in bfloat16; any other checkpoint of these families"
        " loads from a folder or the Hub too"
    )
