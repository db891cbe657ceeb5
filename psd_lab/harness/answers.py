"""Requests of the harness in, completions out: what the plug-in does, without the harness."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from psd_lab.noise import noise_index
from psd_lib.decoding import DecodeConfig
from psd_lib.errors import UserError
from psd_lib.generation import generate

if TYPE_CHECKING:
    from psd_lib.generation import Sequence as Decoded
    from psd_lib.models import Model

LENGTH = 256  # the harness's own default
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
UNDERSTOOD = {"until", "do_sample", "temperature", *LENGTHS}


class Request(Protocol):
    """What is used of the harness's Instance: `args` is (prompt, generation options)."""

    args: tuple[str, dict[str, Any]]
    task_name: str
    doc_id: int


class Answers:
    """Decodes requests with one model and decoder, and notes each decode in a file of JSON lines.

    `options` are those of `psd_lib.generate`; `gen_length` and `temperature` among them win over
    what tasks ask for. `traces` is appended to, batch by batch; `bos` puts the tokenizer's BOS
    before every prompt.
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
        self.batch_size, self.traces, self.bos = batch_size, traces, bos
        self.config({})  # refuses impossible options before anything is decoded

    @property
    def settings(self) -> dict[str, Any]:
        """What decides completions besides the requests."""
        return {
            "model": self.model.fingerprint,
            "decoder": self.decoder,
            "options": self.options,
            "bos": self.bos,
        }

    def config(self, asked: Mapping[str, Any]) -> DecodeConfig:
        """The decoder for a request's generation options. Raises UserError for sampling that the
        decoders do not have.
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
        length = next((int(asked[name]) for name in LENGTHS if asked.get(name) is not None), LENGTH)
        sample = asked.get("do_sample", bool(asked.get("temperature")))
        temperature = float(asked.get("temperature") or 0.0) if sample else 0.0
        return DecodeConfig.make(
            self.decoder, **{"gen_length": length, "temperature": temperature, **self.options}
        )

    def answer(
        self, requests: Sequence[Request], keep: Callable[[Request, str], None]
    ) -> list[str]:
        """The completion of each request up to its first stop string, in order; `keep` gets each as
        soon as it is there.
        """
        found: dict[int, str] = {}
        for config, batch in self._batches(requests):
            prompts = [self._prompt(requests[at].args[0]) for at in batch]
            index = [noise_index(requests[at].args[0]) for at in batch]
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
        """Requests that one config decodes, in batches of similar prompt length."""
        groups: dict[str, tuple[DecodeConfig, list[int]]] = {}
        for at, request in enumerate(requests):
            config = self.config(request.args[1])
            groups.setdefault(json.dumps(config.to_dict(), sort_keys=True), (config, []))[1].append(
                at
            )
        for config, members in groups.values():
            members.sort(key=lambda at: (len(requests[at].args[0]), at))
            for start in range(0, len(members), self.batch_size):
                yield config, members[start : start + self.batch_size]

    def _prompt(self, text: str) -> str | list[int]:
        if not self.bos:
            return text
        tokenizer = self.model.tokenizer
        return [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]

    def _note(self, decoded: Sequence[tuple[Request, str, Decoded]]) -> None:
        if self.traces is None:
            return
        self.traces.parent.mkdir(parents=True, exist_ok=True)
        with self.traces.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line(*one)) + "\n" for one in decoded)


def line(request: Request, text: str, sequence: Decoded) -> dict[str, Any]:
    """What is noted of one decode: its cost, and per generated token the policy step, draft depth
    and confidence.
    """
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
    """What stands before the first stop string: cut("a\\n\\nQ: b", ["Q:"]) -> "a\\n\\n"."""
    ends = [until] if isinstance(until, str) else list(until or [])
    return min((text.split(end, 1)[0] for end in ends if end), key=len, default=text)


def _neutral(name: str, value: Any) -> bool:
    """Whether an option that the decoders do not have says what they do anyway."""
    return value is None or (name, value) in (
        ("top_p", 1),
        ("num_beams", 1),
        ("repetition_penalty", 1),
    )
