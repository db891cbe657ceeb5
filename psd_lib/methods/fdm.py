"""FDM and FDM-A (arXiv 2512.04135), reconstructed: rival commits, judged by what they leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from psd_lib.core.checks import at_least, probability
from psd_lib.core.described import option
from psd_lib.core.policies import Threshold, TopK
from psd_lib.core.registry import Decoder, register, register_decoder
from psd_lib.core.scores import argmax_lowest, order
from psd_lib.core.states import Drafts, Path, Verified
from psd_lib.core.strategy import Step
from psd_lib.methods.branching import Best, Branches


@register
@dataclass(frozen=True)
class Candidates(Branches):
    """Draft the `k` most confident positions as rival single commits of the present state.

    Node 0 is the policy's own commit, the best position under `top_k(1)`; the other nodes hold a
    rival *instead* of it, so they do not contain node 0. Rivals below confidence `gamma` are
    dropped. Under a policy with a bar (FDM-A) there are rivals only where that policy committed a
    single position below its bar.

    Example, k = 2, `_` masked::

        state         [[7, _, _, _], [7, 8, _, 9]]
        stale token   [[7, 1, 2, 3], [7, 8, 4, 9]]
        confidence    [[., .3, .6, .5], [., ., .2, .]]
        node 0        [[7, _, 2, _], [7, 8, 4, 9]]
        node 1        [[7, _, _, 3], not valid   ]
    """

    k: int = option("rival commits, the policy's own included", 3)
    gamma: float = option("confidence below which a rival is dropped", 0.0)
    name: ClassVar[str] = "candidates"
    rivals: ClassVar[bool] = True
    note: ClassVar[str] = (
        "FDM reconstructed from second-hand descriptions: the k most confident positions "
        "(confidence gamma or more) are rival commits; one call over them; the one with the "
        "largest log confidence + mean log confidence of what then stays masked is committed. "
        "With a threshold policy (FDM-A) there is a search only where no position reaches the "
        "threshold."
    )

    def __post_init__(self) -> None:
        at_least("k", self.k, 1)
        probability("gamma", self.gamma)

    @property
    def depth(self) -> int:  # type: ignore[override]
        """Guessed states beside node 0."""
        return self.k - 1

    @property
    def label(self) -> str:
        """Return `k=3`, with the pruning bound where there is one."""
        return f"k={self.k}" + (f" gamma={self.gamma:g}" if self.gamma else "")

    def draft(self, step: Step) -> Drafts:
        """Return node 0 and its rivals, N = k.

        `log_prior` is the log confidence of each node's own commit.
        """
        scores = step.scores
        rank = order(scores.confidence, step.open)
        node = torch.arange(self.k, device=step.node0.device)
        chosen = (rank[:, None] == node[:, None]) & step.open[:, None]
        confidence = (scores.confidence[:, None] * chosen).sum(-1)
        tokens = torch.where(chosen, scores.token[:, None], step.tokens[:, None])
        tokens[:, 0] = step.node0
        search = (step.committed == 1) & (confidence[:, 0] < step.policy.bar)
        valid = chosen.any(-1) & (confidence >= self.gamma) & search[:, None]
        valid[:, 0] = True
        return Drafts(tokens, valid, (node > 0).long().expand_as(valid), confidence.log())


@register
@dataclass(frozen=True)
class Foresight(Best):
    """Commit the rival with the best log confidence + mean log confidence of what stays masked.

    The drafter gives the first term (`Drafts.log_prior`); without it the term is 0. The state
    replaces node 0.

    Example: node 0 commits at .9 and leaves .5 .5: log .9 + log .5 = -0.80; node 1 commits at .8
    and leaves .7 .7: -0.58, and is taken instead of node 0.
    """

    name: ClassVar[str] = "foresight"
    note: ClassVar[str] = (
        "Commits the rival with the largest log confidence + mean log confidence of what then stays"
        " masked."
    )

    def accept(self, drafts: Drafts, verified: Verified) -> Path:
        """Return the best state alone, instead of node 0."""
        # a sample at temperature > 0 may have a confidence that rounds to 0
        chance = verified.scores.confidence.clamp(min=torch.finfo(torch.float32).tiny).log()
        mean = (chance * verified.masked).sum(-1) / verified.masked.sum(-1).clamp(min=1)
        value = torch.where(verified.live, mean, 0.0)
        value = value if drafts.log_prior is None else value + drafts.log_prior
        path = torch.zeros_like(drafts.level)
        path[:, 0] = argmax_lowest(value.masked_fill(~drafts.valid, float("-inf")))
        return Path(path, torch.ones_like(path[:, 0]))


register_decoder(
    "fdm",
    Decoder(
        TopK(1),
        Candidates(),
        Foresight(),
        options=("drafter",),
        title="FDM",
        source="FDM, arXiv 2512.04135, reconstructed",
    ),
)
register_decoder(
    "fdm_a",
    Decoder(
        Threshold(),
        Candidates(),
        Foresight(),
        options=("policy", "drafter"),
        title="FDM-A",
        source="FDM-A, arXiv 2512.04135, reconstructed",
    ),
)
