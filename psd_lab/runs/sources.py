"""Checkpoints that rows name: known by their files, loaded only when something is left to decode."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.models import Family, Model

EXACT = "exact"


@dataclass(frozen=True)
class Source:
    """What decides a model's rows (`fingerprint`, `dtype`), what they say of it, and `load` to get
    it.
    """

    name: str
    fingerprint: str
    dtype: str
    family: Family
    load: Callable[[], Model]

    @property
    def cache(self) -> str:
        """The cache plan that an experiment's `cache: exact` stands for: the fastest one that
        changes no decision.
        """
        return "none" if self.family.sees_future else "exact_block"


def source(name: str, dtype: str = "float32") -> Source:
    """Find a checkpoint by embedded name, folder or Hub repository without reading its weights into
    memory.

    Raises UserError when there is none, or when its config.json is missing, damaged or of an
    unknown family.
    """
    from psd_lib.models.families import family_of
    from psd_lib.models.hub import locate
    from psd_lib.models.loading import fingerprint

    folder = locate(name)
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{folder} is no checkpoint: config.json is missing or no JSON.") from None
    said = Path(name).name or folder.resolve().name  # as the loaded model is called
    return Source(said, fingerprint(folder), dtype, family_of(raw), lambda: load_model(name, dtype))


def loaded(model: Model) -> Source:
    """The source of a model that is in memory already."""
    parameter = next(model.denoiser.network.parameters())
    return Source(
        model.name,
        model.fingerprint,
        str(parameter.dtype).removeprefix("torch."),
        model.family,
        lambda: model,
    )


_LOADED: dict[tuple[str, str], Model] = {}


def load_model(name: str, dtype: str = "float32") -> Model:
    """Load a model, or return the one loaded last; only one is kept, so that two never share a GPU."""
    import psd_lib

    if (name, dtype) not in _LOADED:
        _LOADED.clear()
        _LOADED[name, dtype] = psd_lib.load(name, dtype=dtype)
    return _LOADED[name, dtype]
