"""What the branching methods share (LoPA, FDM, ETE): rivals as drafts, and the best one is kept.

All are approximate: nothing is compared with the policy. Under `replay` rivals that contain node 0
are exact, if poor, drafts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from psd_lib.core.states import Drafts, Path
from psd_lib.core.strategy import Acceptor, Drafter


class Branches(Drafter):
    """A drafter of `k` branches."""

    reconstructed: ClassVar[bool] = True
    k: int

    def describe(self) -> dict[str, Any]:
        """Return name and options, and the number of guessed states as all drafters call it."""
        return {**super().describe(), "depth": self.depth}

    @classmethod
    def from_description(cls, options: Mapping[str, Any]) -> Self:
        """Return the drafter; its depth follows from k."""
        return super().from_description({k: v for k, v in options.items() if k != "depth"})

    @property
    def label(self) -> str:
        """Return `k=3`."""
        return f"k={self.k}"


class Best(Acceptor):
    """An acceptor that scores every state and goes on from one; ties go to the lowest node."""

    reconstructed: ClassVar[bool] = True
    picks_rivals: ClassVar[bool] = True


def jump(node: Tensor, drafts: Drafts) -> Path:
    """Return the path from node 0 straight to `node` `[S]`, or node 0 alone where that is it."""
    path = torch.zeros_like(drafts.level)
    if path.shape[1] > 1:
        path[:, 1] = node
    return Path(path, 1 + (node > 0).long())
