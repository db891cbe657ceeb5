"""Answer the harness's requests: what the plug-in does, without the harness."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from psd_lab.noise import noise_index
from psd_lab.tasks.items import check_count
from psd_lib import DecodeConfig
from psd_lib.errors import UserError
from psd_lib.generation import generate

if TYPE_CHECKING:
    from psd_lib.generation import Sequence as Decoded
    from psd_lib.models import Model

LENGTH = 256  # the harness's own default
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
UNDERSTOOD = {"until", "do_sample", "temperature", *LENGTHS}


class Request(Protocol):
    """The part of the harness's Instance that is used: `args` is (prompt, generation options)."""

    args: tuple[str, dict[str, Any]]
    task_name: str
    doc_id: int


class Answers:
    """Decodes requests with one model and decoder, and records each decode as a JSON line.

    Attributes:
        model: The checkpoint.
        decoder: One of `psd decoders`.
        options: Those of `psd_lib.generate`; `gen_length` and `temperature` among them win over
            what tasks ask for.
        batch_size: Requests that are decoded together.
        traces: The file that records are appended to, batch by batch; None for no records.
        bos: Whether the tokenizer's BOS stands before every prompt.
    """

    def __init__(
        self,
        model: Model,
        decoder: str = "psd",
        options: Mapping[str, Any] | None = None,
        batch_size: int = 16,
        traces: Path | None = None,
        bos: bool = False,
    ):
        if bos and model.tokenizer.bos_token_id is None:
            raise UserError(
                f"the tokenizer of {model.name} has no BOS token: leave out add_bos_token."
            )
        self.model, self.decoder, self.options = model, decoder, dict(options or {})
        check_count("batch_size", batch_size)
        self.batch_size, self.traces, self.bos = batch_size, traces, bos
        if traces is not None:
            _make_appendable(traces)
        self.config({})  # refuses impossible options before anything is decoded

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides completions apart from the requests."""
        return {
            "model": self.model.fingerprint,
            "decoder": self.decoder,
            "options": self.options,
            "bos": self.bos,
        }

    def config(self, asked: Mapping[str, Any]) -> DecodeConfig:
        """Make the decoder for a request's generation options.

        Raises:
            UserError: The options ask for sampling that the decoders do not have, or are not
                numbers where numbers are expected.
        """
        unknown = [
            name
            for name, value in asked.items()
            if name not in UNDERSTOOD and not _neutral(name, value)
        ]
        if unknown:
            raise UserError(
                f"the decoders have no {', '.join(unknown)}, which the task asks for: set it aside"
                " with --gen_kwargs or choose another task."
            )
        named = next((name for name in LENGTHS if asked.get(name) is not None), None)
        length = LENGTH if named is None else _number(named, asked[named], int)
        sample = asked.get("do_sample", bool(asked.get("temperature")))
        temperature = (
            _number("temperature", asked.get("temperature") or 0.0, float) if sample else 0.0
        )
        return DecodeConfig.make(
            self.decoder, **{"gen_length": length, "temperature": temperature, **self.options}
        )

    def answer(
        self, requests: Sequence[Request], keep: Callable[[Request, str], None]
    ) -> list[str]:
        """Decode requests; return each completion up to its first stop string, in order.

        `keep` gets each completion as soon as it is there.
        """
        found: dict[int, str] = {}
        noise = noises(requests)
        for config, batch in self._batches(requests):
            prompts = [self._prompt(requests[at].args[0]) for at in batch]
            index = [noise[at] for at in batch]
            decoded = list(
                generate(self.model, prompts, config=config, batch_size=len(batch), index=index)
            )
            for at, sequence in zip(batch, decoded, strict=True):
                found[at] = cut(sequence.text, requests[at].args[1].get("until"))
                keep(requests[at], found[at])
            self._note(
                [
                    (requests[at], found[at], sequence)
                    for at, sequence in zip(batch, decoded, strict=True)
                ]
            )
        return [found[at] for at in range(len(requests))]

    def _batches(self, requests: Sequence[Request]) -> Iterator[tuple[DecodeConfig, list[int]]]:
        """Group requests that one config decodes, in batches of similar prompt length."""
        groups: dict[str, tuple[DecodeConfig, list[int]]] = {}
        for at, request in enumerate(requests):
            config = self.config(request.args[1])
            _ends(request.args[1].get("until"))  # refused before anything is decoded
            groups.setdefault(json.dumps(config.to_dict(), sort_keys=True), (config, []))[1].append(
                at
            )
        for config, members in groups.values():
            members.sort(key=lambda at: (len(requests[at].args[0]), at))
            for start in range(0, len(members), self.batch_size):
                yield config, members[start : start + self.batch_size]

    def _prompt(self, text: str) -> str | list[int]:
        return self.model.encode(text, bos=True) if self.bos else text

    def _note(self, decoded: Sequence[tuple[Request, str, Decoded]]) -> None:
        if self.traces is None:
            return
        with self.traces.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line(*one)) + "\n" for one in decoded)


def noises(requests: Sequence[Request]) -> list[int]:
    """Give every request the index of its noise, which sampling at a temperature draws from.

    The prompt decides it, so that it depends neither on the order nor on the batch. The harness
    repeats a request (`repeats: 4`) by listing it as often: each repeat has noise of its own, and
    the first has that of a request without repeats.
    """
    seen: Counter[tuple[str, int, str]] = Counter()
    index = []
    for request in requests:
        text = request.args[0]
        key = (request.task_name, request.doc_id, text)
        own = f"{text}\0repeat {seen[key]}" if seen[key] else text
        seen[key] += 1
        index.append(noise_index(own))
    return index


def has_repeats(requests: Sequence[Request]) -> bool:
    """Check whether a request is listed more than once."""
    return len({(one.task_name, one.doc_id, one.args[0]) for one in requests}) < len(requests)


def line(request: Request, text: str, sequence: Decoded) -> dict[str, Any]:
    """Record one decode: its cost, and policy step, draft depth and confidence of each token."""
    trace = sequence.trace
    return {
        "task": request.task_name,
        "doc_id": request.doc_id,
        "decoder": sequence.label,
        "completion": text,
        "tokens": sequence.n_tokens,
        "nfe": sequence.nfe,
        "tpf": round(sequence.tpf, 4),
        "rows": sequence.rows,
        "query_tokens": sequence.query_tokens,
        "model_ms": round(sequence.model_ms, 3),
        "stopped": sequence.stopped,
        "trace": {
            "tokens": trace.tokens.tolist(),
            "step": trace.step.tolist(),
            "depth": trace.depth.tolist(),
            "confidence": np.round(trace.confidence.astype(float), 4).tolist(),
        },
    }


def cut(text: str, until: str | Sequence[str] | None) -> str:
    """Keep what stands before the first stop string: cut("a\\n\\nQ: b", ["Q:"]) -> "a\\n\\n"."""
    ends = _ends(until)
    return min((text.split(end, 1)[0] for end in ends if end), key=len, default=text)


def _neutral(name: str, value: Any) -> bool:
    """Check whether an option that the decoders do not have asks for what they do anyway."""
    return value is None or (name, value) in (
        ("top_p", 1),
        ("num_beams", 1),
        ("repetition_penalty", 1),
    )


def _ends(until: Any) -> Sequence[str]:
    ends = [until] if isinstance(until, str) else until or []
    if not isinstance(ends, list | tuple) or not all(isinstance(end, str) for end in ends):
        raise UserError(f"until of a task must be a text or a list of texts, not {until!r:.80}.")
    return ends


def _make_appendable(path: Path) -> None:
    """Refuse a place for traces before anything is decoded, not after."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise UserError(f"traces cannot be written to {path}: {error.strerror}.") from None


def _number(name: str, value: Any, kind: type[int] | type[float]) -> Any:
    try:
        if isinstance(value, bool) or kind(value) != float(value):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        what = "a whole number" if kind is int else "a number"
        raise UserError(f"{name} of a task must be {what}, not {value!r:.80}.") from None
