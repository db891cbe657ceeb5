"""A published benchmark as a Task.

Rows come from a source, prompts from a protocol, scores from the benchmark's judge.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psd_lab.tasks.base import Score, Task
from psd_lab.tasks.benchmarks import exemplars, source
from psd_lab.tasks.benchmarks.protocol import Protocol, find
from psd_lab.tasks.items import (
    Example,
    as_line,
    check_count,
    check_ids,
    check_meta,
    check_pairs,
    is_text,
)
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.models import Model

Pair = tuple[str, Example]


@dataclass(frozen=True)
class Item:
    """One row as a benchmark sees it: `fields` fill templates, `meta` is what its judge needs."""

    id: str
    fields: Mapping[str, str]
    reference: str
    meta: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Spec:
    """What is particular to one benchmark.

    Attributes:
        name: Its name.
        description: One line about it.
        files: Where its rows are.
        item: Reads a row (split, number from 0, row).
        judge: Scores completions that stop strings have already cut, for a protocol, with some
            workers.
        version: Names the rules that it judges by.
        default_profile: The protocol profile that it runs under unless another is given.
        published: The sha256 (first 12 digits) of each split's rows as published.
        needs: What `judge` needs in the `meta` of an item: entry -> one of `items.KINDS`.
    """

    name: str
    description: str
    files: source.Files
    item: Callable[[str, int, source.Row], Item]
    judge: Callable[[Sequence[Pair], Protocol, int], list[Score]]
    version: Callable[[], str]
    default_profile: str
    published: Mapping[str, str]
    needs: Mapping[str, str]


def _checked(item: Item, needs: Mapping[str, str]) -> Item:
    texts = {"id": item.id, **item.fields, "reference": item.reference}
    wrong = [name for name, text in texts.items() if not is_text(text)]
    if wrong:
        raise TypeError(f"{item.id!r}: {', '.join(wrong)} must be text")
    check_meta(item.meta, needs, f"{item.id!r} of the data")
    return item


@lru_cache(maxsize=16)
def _items(spec: Spec, split: str, data_dir: str | None) -> tuple[Item, ...]:
    rows = source.read(spec.name, spec.files, split, data_dir)
    found = hashlib.sha256(
        json.dumps(rows, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ).hexdigest()[:12]
    if spec.published.get(split, found) != found:
        warnings.warn(
            f"{spec.name} {split} has {len(rows)} rows with the hash {found}, not the published"
            f" {spec.published[split]}: scores on it are not comparable with published ones.",
            stacklevel=5,
        )
    try:
        items = tuple(
            _checked(spec.item(split, number, row), spec.needs) for number, row in enumerate(rows)
        )
    except UserError:
        raise
    except (TypeError, AttributeError, KeyError, IndexError, ValueError) as error:
        raise UserError(
            f"A row of {spec.name} {split} has other contents than expected"
            f" ({type(error).__name__}: {error}): use the published data of {spec.files.repo}."
        ) from None
    check_ids((item.id for item in items), f"{spec.name} {split}")
    return items


@dataclass(frozen=True)
class Benchmark(Task):
    """A published benchmark under one protocol; the same interface as an embedded task.

    Examples carry their chat form in `meta`: `messages` and `prefill`, for protocols that use a
    chat template. Completions are scored up to the first stop string; tokens are counted before, up
    to EOS.
    """

    spec: Spec | None = None
    protocol: Protocol | None = None
    data_dir: str | None = None

    @property
    def profile(self) -> str:
        """Name of the protocol profile, for rows."""
        return self.protocol.profile

    @property
    def block_length(self) -> int | None:
        """The block length that the protocol asks of every decoder, None for the model's own."""
        return self.protocol.block_length

    @property
    def version(self) -> str:
        """Name of the rules: stop strings, extractor or post-processing, and its version."""
        return f"{self.protocol.headline}, stops {self.protocol.stops}, {self.spec.version()}"

    def path(self, split: str) -> Path:
        """Refuse: a benchmark has no generated file here."""
        raise UserError(
            f"Task {self.name} is published data and is not generated here: `psd tasks` writes only"
            " the embedded tasks."
        )

    def load(self, split: str = "test", limit: int | None = None) -> list[Example]:
        """Read the first `limit` items in their published order, without those that are exemplars.

        Raises:
            UserError: As in `source.read`, when exemplars are not the frozen ones, or when an item
                lacks what the judge needs.
        """
        check_count("limit", limit, optional=True)
        source.check_split(self.name, self.spec.files, split)
        shots = exemplars.exemplars(self.protocol.exemplars, self._fields)
        texts = [dict(shot) for shot in shots]
        items = [
            item
            for item in _items(self.spec, split, self.data_dir)
            if dict(item.fields) not in texts
        ]
        before = "".join(exemplars.shots(self.protocol.template, shots))
        return [self._example(item, shots, before) for item in items[:limit]]

    def data_hash(self, split: str = "test") -> str:
        """Name prompts, references and tests: first 12 hex digits of a sha256.

        It depends on the exemplars and on how prompts are wrapped, so that rows of different
        protocols are never taken for each other, but not on how completions are judged (see
        `version`), nor on where the rows come from.
        """
        wrapped = json.dumps([self.protocol.chat, self.protocol.turns, self.protocol.bos])
        lines = "".join(as_line(example) for example in self.load(split))
        return hashlib.sha256((wrapped + "\n" + lines).encode()).hexdigest()[:12]

    def prompts(self, examples: Sequence[Example], model: Model) -> list[str]:
        """Return what a model is given: plain prompts, or their chat form.

        They begin with BOS where the protocol asks for it in the model's family.

        Raises:
            UserError: The protocol needs a chat template or a BOS token that the tokenizer does not
                have.
        """
        if self.protocol.uses_chat(model):
            return [_chat(model, example, self.protocol.profile) for example in examples]
        bos = ""
        if model.family.model_type in self.protocol.bos:
            bos = model.tokenizer.bos_token
            if not bos:
                raise UserError(
                    f"Profile {self.protocol.profile} begins prompts of {model.family.model_type}"
                    f" with a BOS token, which the tokenizer of {model.name} does not name:"
                    " bos_token is expected in tokenizer_config.json."
                )
        return [bos + example.prompt for example in examples]

    def score_many(self, pairs: Iterable[Pair], workers: int = 2) -> list[Score]:
        """Judge (completion, example) pairs, in the order of the pairs.

        Raises:
            SandboxUnavailable: Code cannot be run here.
            UserError: Something is not a pair, or an item lacks what the judge needs.
        """
        check_count("workers", workers)
        ends = exemplars.stops(self.protocol)
        checked = check_pairs(pairs, self.needs)
        return self.spec.judge(
            [(exemplars.cut(completion, ends), example) for completion, example in checked],
            self.protocol,
            workers,
        )

    def _fields(self, split: str, ids: list[str]) -> list[Mapping[str, str]]:
        known = {item.id: item.fields for item in _items(self.spec, split, self.data_dir)}
        missing = [name for name in ids if name not in known]
        if missing:
            raise UserError(
                f"The exemplars {', '.join(missing)} are not in the split {split} of {self.name}:"
                " use the published data."
            )
        return [known[name] for name in ids]

    def _example(self, item: Item, shots: list[Mapping[str, str]], before: str) -> Example:
        text, messages, prefill = exemplars.prompt(self.protocol, shots, before, item.fields)
        chat = {"messages": messages, "prefill": prefill} if self.protocol.chat != "never" else {}
        return Example(item.id, text, item.reference, {**item.meta, **chat})


def _chat(model: Model, example: Example, profile: str) -> str:
    if not getattr(model.tokenizer, "chat_template", None):
        raise UserError(
            f"Profile {profile} needs a chat template, which the tokenizer of {model.name} does not"
            " have: use a profile with base prompts, such as psd-512."
        )
    text = model.tokenizer.apply_chat_template(
        example.meta["messages"], tokenize=False, add_generation_prompt=True
    )
    return text + example.meta["prefill"]


def make(spec: Spec, profile: str | None, data_dir: str | Path | None) -> Benchmark:
    """Build a benchmark under a profile (default: the benchmark's own).

    Rows come from the folder `data_dir`, else from that of the environment variable PSD_DATA_DIR,
    else from the Hub.

    Raises:
        UserError: The profile is unknown or does not run the benchmark, or `data_dir` is not a
            path.
    """
    protocol = find(spec.default_profile if profile is None else profile, spec.name)
    folder = data_dir or os.environ.get(source.FOLDER)
    try:
        folder = str(Path(folder).expanduser()) if folder else None
    except (TypeError, RuntimeError) as error:
        raise UserError(
            f"data_dir must be the path of a folder, not {folder!r} ({error})."
        ) from None
    return Benchmark(
        name=spec.name,
        description=spec.description,
        gen_length=protocol.length,
        judge=None,
        needs=spec.needs,
        spec=spec,
        protocol=protocol,
        data_dir=folder,
    )
