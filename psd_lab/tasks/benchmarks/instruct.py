"""Whether a checkpoint was tuned on dialogues, by what it says itself and not by how its path was
typed.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psd_lib.models import Model

_HUB_CACHE = re.compile(r"models--([\w.-]+?)--([\w.-]+)")


def is_instruct(model: Model, profile: str) -> bool:
    """Return whether a checkpoint is an instruct model.

    Fast-dLLM's scripts, where the rule is from, go by "instruct" in the repository's name:
    LLaDA-1.5 is not one. So does this where the files lie in the Hub's cache, which names their
    repository. Elsewhere a chat template of the checkpoint's own decides, with a warning, because
    some base models ship one, too.
    """
    repository = repository_of(model.tokenizer.name_or_path)
    if repository is not None:
        return "instruct" in repository.lower()
    found = has_own_template(model)
    taken = (
        "an instruct model, because it has" if found else "a base model, because it does not have"
    )
    warnings.warn(
        f"{model.name} does not say whether it was tuned on dialogues; profile {profile} takes it"
        f" for {taken} a chat template of its own.",
        stacklevel=2,
    )
    return found


def repository_of(folder: str | Path) -> str | None:
    """Return the Hub repository `owner/name` of a folder in the Hub's cache, None for others."""
    names = (_HUB_CACHE.fullmatch(part) for part in reversed(Path(folder).resolve().parts))
    return next((f"{name[1]}/{name[2]}" for name in names if name), None)


def has_own_template(model: Model) -> bool:
    """Return whether the checkpoint ships a chat template, other than the one that its family lends
    to checkpoints without.
    """
    from psd_lib.models.chat import TEMPLATES

    template = model.tokenizer.chat_template
    return template is not None and template != TEMPLATES.get(model.family.name)
