"""Load checkpoints with stock classes; families are a table, and decoding calls a Denoiser."""

from psd_lib.models.families import FAMILIES, Family
from psd_lib.models.loading import load
from psd_lib.models.model import Model
from psd_lib.models.released import SUPPORTED, Released

__all__ = ["FAMILIES", "SUPPORTED", "Family", "Model", "Released", "load"]
