"""Checkpoints that rows name: identified by their files, loaded only when rows are missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from psd_lab.caches import exact_cache
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.models import Family, Model


@dataclass(frozen=True)
class CheckpointRef:
    """A handle of a checkpoint: `fingerprint` and `dtype` decide its rows, `name` and `family` are
    what rows say of it, `load` gets the model, and `source` is what finds the checkpoint again.
    """

    name: str
    fingerprint: str
    dtype: str
    family: Family
    load: Callable[[], Model]
    source: str = ""

    @property
    def cache(self) -> str:
        """The cache plan that an experiment's `cache: exact` stands for."""
        return exact_cache(self.family)


def checkpoint(name: str, dtype: str = "float32") -> CheckpointRef:
    """Find a checkpoint by embedded name, folder or Hub repository without reading its weights into
    memory.

    Raises:
        UserError: There is none, or its config.json is missing, damaged or of an unknown family.
    """
    from psd_lib.models.families import family_of
    from psd_lib.models.fingerprints import fingerprint
    from psd_lib.models.hub import locate, name_of
    from psd_lib.models.loading import config_of

    folder = locate(name)
    family, found = family_of(config_of(folder)), fingerprint(folder)
    load = partial(load_model, name, dtype, found)
    return CheckpointRef(name_of(folder), found, dtype, family, load, name)


def in_memory(model: Model) -> CheckpointRef:
    """Return the handle of a model that is loaded already."""
    parameter = next(model.denoiser.network.parameters())
    return CheckpointRef(
        model.name,
        model.fingerprint,
        str(parameter.dtype).removeprefix("torch."),
        model.family,
        lambda: model,
    )


_LOADED: dict[tuple[str, str, str], Model] = {}


def load_model(name: str, dtype: str, fingerprint: str) -> Model:
    """Load a model, or return it where it is the one loaded last.

    Only one is kept, so that two never share a GPU.

    Raises:
        UserError: The files were replaced since the fingerprint was taken.
    """
    import psd_lib

    key = name, dtype, fingerprint
    if key not in _LOADED:
        _LOADED.clear()
        model = psd_lib.load(name, dtype=dtype)
        if model.fingerprint != fingerprint:
            raise UserError(
                f"the files of {name} were replaced during this run: rows so far are those of the"
                " old ones and are kept; run again to decode with the new ones."
            )
        _LOADED[key] = model
    return _LOADED[key]
