"""What the embedded models were trained on, and prompts that do not look like it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# The shape of every prompt of mini-gsm, mini-humaneval and mini-mbpp, from first to last character.
SHAPES = (
    r"[^\n]*\d[^\n]*How (?:many|much) [^\n]*\?\n",
    r'def \w+\(\w+\):\n    """[^\n]+"""\n',
    r"[^\n]*\bfunction\b[^\n]*\n(?:assert [^\n]+\n){2}",
)


def familiar(prompt: str) -> bool:
    """Whether a prompt has the shape of one of the three embedded tasks."""
    return any(re.fullmatch(shape, prompt) for shape in SHAPES)


def unfamiliar(model: str, prompts: Sequence[str]) -> Iterator[str]:
    """Yield a note for each kind of prompt that an embedded model was not trained on."""
    strange = [prompt for prompt in prompts if not familiar(prompt)]
    if any(familiar(f"{prompt}\n") for prompt in strange):
        yield (
            f"note: prompts that {model} was trained on end with a line break; without it answers"
            " differ (in bash: $'...\\n')"
        )
    if any(not familiar(f"{prompt}\n") for prompt in strange):
        yield (
            f"note: {model} was trained on three small tasks only (word problems, Python functions"
            " from a docstring, Python functions from two tests) and this prompt looks like none of"
            " them, so do not expect sense; psd tasks names them, data/tasks has examples"
        )
