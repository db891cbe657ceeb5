"""The ledger: what every model call of a run cost."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Forward:
    """One call of a model: what ran in it and how long it took.

    `rows` guessed states of `sequences` sequences; `query_tokens` and `key_tokens` over all rows;
    `ms` milliseconds. `model` is empty for the target; the calls of a second model (judge, draft)
    carry its name and are counted apart.
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
    """All calls of a run. A batched verification is one forward, however many rows it has.

    `nfe`, `rows` and `query_tokens` count the target model's calls, `second_nfe` and
    `second_query_tokens` those of a second model. Milliseconds include all models.
    """

    forwards: list[Forward] = field(default_factory=list)
    total_ms: float = 0.0

    @property
    def nfe(self) -> int:
        """Return the number of calls of the target model."""
        return len(self.target)

    @property
    def target(self) -> list[Forward]:
        """Return the target model's calls."""
        return [forward for forward in self.forwards if not forward.model]

    @property
    def second_nfe(self) -> int:
        """Return the number of calls of a second model."""
        return len(self.forwards) - len(self.target)

    @property
    def second_query_tokens(self) -> int:
        """Return how many tokens went through a second model as queries."""
        return sum(forward.query_tokens for forward in self.forwards if forward.model)

    @property
    def rows(self) -> int:
        """Return how many states went through the target model."""
        return sum(forward.rows for forward in self.target)

    @property
    def query_tokens(self) -> int:
        """Return how many tokens went through the target model as queries."""
        return sum(forward.query_tokens for forward in self.target)

    @property
    def model_ms(self) -> float:
        """Return the milliseconds inside models."""
        return sum(forward.ms for forward in self.forwards)

    @property
    def loop_share(self) -> float:
        """Return the share of the wall time that is spent outside models."""
        return 1 - self.model_ms / self.total_ms if self.total_ms else 0.0

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(self.forwards + other.forwards, self.total_ms + other.total_ms)
