"""Words that several tables and figures share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psd_lab.report.catalog import RECONSTRUCTED
from psd_lab.report.results import Results

TPF_MEANS = (
    "TPF = tokens before the first EOS, summed over items, per model call (a batched verification"
    " is one call)"
)
INTERVALS = (
    "Brackets are 95 % intervals: Wilson for accuracy, Bonett-Price for its paired difference to"
    " greedy, bootstrap over items for TPF"
)
RULES = (
    "`exact`: outputs provably the policy's own; `approximate`: not; `policy`: no drafts;"
    " `reconstructed`: not all of the method is published, and this is our reading"
)
SECOND = "second model's calls"
SECOND_LEFT_OUT = (
    " TPF and `calls` leave out a second model's (a judge's, a draft model's), which tables"
    f" show as `{SECOND}`, per answer."
)


def rule(record: Mapping[str, Any]) -> str:
    """How sure it is that the output is the policy's, and whether the method is our reading."""
    guarantee = "approximate" if not record["exact"] else "exact" if record["depth"] else "policy"
    return f"{guarantee}, {RECONSTRUCTED}" if record["fidelity"] == RECONSTRUCTED else guarantee


def second_model(results: Results) -> str:
    """What a caption says of second models; nothing where there is none."""
    return SECOND_LEFT_OUT if results.frame.second_nfe.any() else ""


def calls(mean: float) -> str:
    """A mean number of calls as text; a dash for none."""
    return f"{mean:.1f}" if mean else "-"
