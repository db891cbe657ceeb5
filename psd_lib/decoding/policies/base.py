"""What a policy is, and what policies share."""

from __future__ import annotations

from dataclasses import fields
from typing import ClassVar, Protocol

from torch import Tensor

from psd_lib.decoding.scores import Scores, order


class Policy(Protocol):
    """What the loop asks of a policy. `name` identifies it in configs and rows.

    A policy that reads margin, entropy or gap sets `needs_detail = True`; otherwise these scores
    are not computed. What else it may declare (a history, a second model, revocation, that it is
    reconstructed) is in `psd_lib.decoding.binding`.
    """

    name: ClassVar[str]

    def select(self, scores: Scores, masked: Tensor) -> Tensor:
        """Positions to commit, bool `[..., W]`, a non-empty subset of `masked` `[..., W]` wherever
        that is not empty.
        """

    def priority(self, scores: Scores) -> Tensor:
        """How early each position is likely to be committed, float `[..., W]`, higher is earlier:
        orders the drafts.
        """

    @property
    def label(self) -> str:
        """Short text for tables and legends."""


class ByConfidence:
    """Shared by the policies that take confident positions first."""

    def priority(self, scores: Scores) -> Tensor:
        """Positions are expected in descending order of confidence."""
        return scores.confidence

    @property
    def label(self) -> str:
        """The name and the values of the options, such as `mine 0.9/4`."""
        values = "/".join(
            f"{value:g}" if isinstance(value, float) else str(value) for value in self._values()
        )
        return f"{self.name} {values}".rstrip()

    def _values(self) -> list:
        return [getattr(self, f.name) for f in fields(self)]


def best(values: Tensor, masked: Tensor) -> Tensor:
    """The single best masked position, bool `[..., W]`, all False where nothing is masked; ties:
    lowest position.
    """
    return (order(values, masked) == 0) & masked
