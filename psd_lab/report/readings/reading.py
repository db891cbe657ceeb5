"""What all readings are, and the sentences that several of them have."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from psd_lab.report.results import Results

EXACTNESS = (
    "{kind}: {counts} decodes give, token for token, the output of the same policy without drafts."
)
RESOLUTION = (
    "With n = {n} items per model and task the interval of an accuracy difference is about"
    " ±{half:.0f} points wide (median): smaller differences cannot be told from none here."
)


@dataclass(frozen=True)
class Reading:
    """Sentences as a Markdown list; empty ones are left out."""

    sentences: tuple[str, ...]

    @classmethod
    def of(cls, *sentences: str) -> Reading:
        """A reading of the sentences that say something."""
        return cls(tuple(sentence for sentence in sentences if sentence))

    def __repr__(self) -> str:
        return "\n".join(f"* {sentence}" for sentence in self.sentences)

    def _repr_markdown_(self) -> str:
        return repr(self)


def exactness(results: Results, exact: bool) -> str:
    """One sentence on same outputs by model, over all drafting decoders that are (not) provably
    exact; empty if there is none.
    """
    counts = []
    for model, part in results.by_model.items():
        drafted = part.where((part.frame.depth > 0) & (part.frame.exact == exact))
        pairs = [part.against_policy(decoder) for decoder in drafted.parts]
        found = [pair.same for pair in pairs if pair is not None]
        if found:
            same, total = (sum(numbers) for numbers in zip(*found, strict=True))
            counts.append(f"{same} of {total} ({model})")
    if not counts:
        return ""
    kind = "Exact rules" if exact else "Approximate rules"
    return EXACTNESS.format(kind=kind, counts=", ".join(counts))


def resolution(data: pd.DataFrame) -> str:
    """How small a difference these items can show at all."""
    half = ((data.vs_greedy_high - data.vs_greedy_low) / 2).median()
    return RESOLUTION.format(n=int(data.n.min()), half=100 * half)
