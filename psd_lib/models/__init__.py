"""Checkpoints: a table of families, loading with stock classes, and the Denoiser that decoding
calls.
"""

from psd_lib.models.families import FAMILIES, Family
from psd_lib.models.loading import Model, load
from psd_lib.models.released import SUPPORTED, Released

__all__ = ["FAMILIES", "SUPPORTED", "Family", "Model", "Released", "load"]
