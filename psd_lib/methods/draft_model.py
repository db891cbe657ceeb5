"""A draft model as drafter: a smaller model decodes ahead (SimSD's setting, made exact)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from psd_lib.core.batch import Batch
from psd_lib.core.cache import scatter_rows
from psd_lib.core.checks import at_least
from psd_lib.core.denoiser import model_name
from psd_lib.core.described import option
from psd_lib.core.registry import register
from psd_lib.core.scores import Scores, score
from psd_lib.core.states import Drafts
from psd_lib.core.strategy import Drafter, Needs, Step
from psd_lib.methods.second_model import RunningModel


@register
@dataclass(frozen=True)
class DraftModel(Drafter):
    """Draft a smaller model's states after 1 to `depth` of its own policy steps.

    Exact under `replay`: the target checks every state in a row of its own, so this is SimSD's
    setting (arXiv 2606.02544) without its approximation. Each iteration costs `depth` calls of the
    draft model, which the ledger counts apart; they recompute the whole canvas. At temperature > 0
    both models see the same noise. `draft` is the name of a model or a loaded one; UserError where
    it is missing or speaks other tokens than the target.

    Example, depth 2, draft model's scores after each step in brackets, `_` masked::

        node 0   [7, _, _, _]   token [., 1, 2, 3] confidence [., .3, .6, .5]
        node 1   [7, _, 2, _]   token [., 5, ., 3] confidence [., .7, ., .6]
        node 2   [7, 5, 2, _]
    """

    depth: int = option("steps that the draft model goes ahead", 3)
    draft: Any = option("name of a draft model, or a loaded one", None, repr=False)
    name: ClassVar[str] = "draft_model"

    def __post_init__(self) -> None:
        at_least("depth", self.depth, 0)

    @property
    def needs(self) -> Needs:
        """Ask for the draft model."""
        return Needs(second_model="draft")

    def start(self, batch: Batch) -> Drafter:
        """Return the drafter with the draft model at work on this batch."""
        return RunningDraftModel(self, batch)

    @property
    def label(self) -> str:
        """Return model and depth, such as `mini-sdar-draft d=3`."""
        return f"{model_name(self.draft)} d={self.depth}"


class RunningDraftModel(Drafter):
    """`DraftModel` on one batch."""

    def __init__(self, rule: DraftModel, batch: Batch):
        self.rule, self.batch = rule, batch
        self.model = RunningModel(rule.draft, batch, "draft")

    def draft(self, step: Step) -> Drafts:
        """Return node 0 and the draft model's states, N = depth + 1."""
        states, masked = [step.node0], step.masked
        valid = [torch.ones_like(step.committed, dtype=torch.bool)]
        for _ in range(self.rule.depth):
            scores = self.scores(states[-1])
            valid.append(masked.any(-1))
            commit = step.policy.select(scores, masked) & masked
            states.append(torch.where(commit, scores.token, states[-1]))
            masked = masked & ~commit
        level = torch.arange(len(states), device=step.node0.device)
        exists = torch.stack(valid, 1)
        return Drafts(torch.stack(states, 1), exists, level.expand_as(exists))

    def scores(self, state: Tensor) -> Scores:
        """Return the draft model's scores `[S, W]` of window contents, from one call."""
        logits, sequence = self.model.logits(state)
        temperature, noise = self.batch.temperature, None
        if temperature > 0:
            noise = self.batch.noise(logits.shape[-1], sequence)
        found = score(logits, noise, temperature, self.batch.detail)
        return found.map(lambda part: scatter_rows(sequence, part, state.shape))
