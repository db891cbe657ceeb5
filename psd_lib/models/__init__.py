"""Checkpoints: a table of families, loading with stock classes, and the Denoiser that decoding calls."""

from psd_lib.models.families import FAMILIES, Family
from psd_lib.models.loading import Model, load

__all__ = ["FAMILIES", "Family", "Model", "load"]
