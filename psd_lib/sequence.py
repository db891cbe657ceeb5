"""What `generate` returns: decoded prompts with their text, their trace and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from psd_lib.core.config import DecodeConfig
from psd_lib.core.ledger import Ledger
from psd_lib.viewer import trace_html


@dataclass(frozen=True)
class Trace:
    """Who committed what, when: arrays over the generated positions `[G]`, -1 where nothing was.

    Attributes:
        tokens: the committed ids.
        text_tokens: what each token adds to the text.
        step: the policy step, counted from 0.
        iteration: the loop's iteration.
        depth: 0 for the policy's own step, j for the j-th accepted draft of the iteration.
        confidence: the probability at commit.
        iterations: one dict per iteration: block, accepted, drafted, rows, committed.
        scores: where recorded, one dict per iteration about the masks before the policy's step:
            iteration, positions, token, confidence, margin, entropy.
    """

    tokens: np.ndarray
    text_tokens: list[str]
    step: np.ndarray
    iteration: np.ndarray
    depth: np.ndarray
    confidence: np.ndarray
    iterations: list[dict[str, int]]
    scores: list[dict[str, Any]]


@dataclass(frozen=True)
class Sequence:
    """One decoded prompt.

    Attributes:
        prompt_text: the prompt, decoded.
        text: what the answer adds to it, up to the first EOS.
        tokens: the answer's ids before the first EOS.
        stopped: "eos" or "length".
        nfe: the calls of the model that it took part in.
        rows: its guessed states in these calls.
        query_tokens: the tokens of these rows.
        second_nfe: the calls of a second model (an AR verifier, a draft model), not in `nfe`.
        second_query_tokens: the tokens in these calls.
        model_ms: its share of the milliseconds in all models.
        loop_ms: its share of the milliseconds outside of them.
        label: the decoder's short name.
    """

    prompt_text: str
    text: str
    tokens: list[int]
    stopped: str
    nfe: int
    rows: int
    query_tokens: int
    second_nfe: int
    second_query_tokens: int
    model_ms: float
    loop_ms: float
    label: str
    trace: Trace

    @property
    def n_tokens(self) -> int:
        """Generated tokens before the first EOS."""
        return len(self.tokens)

    @property
    def tpf(self) -> float:
        """Tokens per forward: tokens before the first EOS / calls of the model."""
        return self.n_tokens / self.nfe

    def __repr__(self) -> str:
        cost = f"{self.n_tokens} tokens, {self.nfe} forwards, TPF {self.tpf:.2f}"
        return f"Sequence({self.label}: {cost}, {self.text!r})"

    def _repr_html_(self) -> str:
        return trace_html(self)


@dataclass(frozen=True)
class Generation:
    """The decoded prompts in their given order; in a notebook each shows itself."""

    sequences: list[Sequence]
    config: DecodeConfig
    ledger: Ledger

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> Sequence:
        return self.sequences[index]

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self.sequences)

    @property
    def text(self) -> list[str]:
        """Completions before the first EOS."""
        return [sequence.text for sequence in self.sequences]

    @property
    def trace(self) -> list[Trace]:
        """One trace per prompt."""
        return [sequence.trace for sequence in self.sequences]

    @property
    def tpf(self) -> float:
        """Tokens before EOS / calls of the model, both summed over all prompts."""
        return sum(sequence.n_tokens for sequence in self) / sum(sequence.nfe for sequence in self)

    def _repr_html_(self) -> str:
        return "\n".join(sequence._repr_html_() for sequence in self)
