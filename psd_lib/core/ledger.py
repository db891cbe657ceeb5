"""The ledger: what every model call of a run cost."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Forward:
    """One call of a model: `rows` guessed states of `sequences` sequences, tokens over all rows,
    milliseconds.

    `model` is empty for the target; a second model (judge, draft) is named, and its calls are
    counted apart.
    """

    kind: str
    rows: int
    sequences: int
    query_tokens: int
    key_tokens: int
    ms: float
    model: str = ""


@dataclass
class Ledger:
    """All calls of a run. A batched verification is one forward, and its rows are reported beside
    it.

    `nfe`, `rows` and `query_tokens` are the target model's; `second_nfe` and `second_query_tokens`
    are those of a second model, where there is one. Milliseconds are everybody's.
    """

    forwards: list[Forward] = field(default_factory=list)
    total_ms: float = 0.0

    @property
    def nfe(self) -> int:
        """Calls of the target model."""
        return len(self.target)

    @property
    def target(self) -> list[Forward]:
        """The target model's calls."""
        return [forward for forward in self.forwards if not forward.model]

    @property
    def second_nfe(self) -> int:
        """Calls of a second model."""
        return len(self.forwards) - len(self.target)

    @property
    def second_query_tokens(self) -> int:
        """Tokens that went through a second model as queries."""
        return sum(forward.query_tokens for forward in self.forwards if forward.model)

    @property
    def rows(self) -> int:
        """States that went through the target model."""
        return sum(forward.rows for forward in self.target)

    @property
    def query_tokens(self) -> int:
        """Tokens that went through the target model as queries."""
        return sum(forward.query_tokens for forward in self.target)

    @property
    def model_ms(self) -> float:
        """Milliseconds inside models."""
        return sum(forward.ms for forward in self.forwards)

    @property
    def loop_share(self) -> float:
        """Share of the wall time that is not the model."""
        return 1 - self.model_ms / self.total_ms if self.total_ms else 0.0

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(self.forwards + other.forwards, self.total_ms + other.total_ms)
