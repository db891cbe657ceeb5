"""PSD: every training-free decoder for masked diffusion language models in one loop.

model = psd_lib.load("mini-sdar")
out = psd_lib.generate(model, ["..."], decoder="psd", policy="confidence", threshold=0.9, depth=3)
"""

import warnings
from importlib import import_module

__version__ = "0.1.0"

# Notebooks show plain bars and no widgets, so missing ipywidgets is no news.
warnings.filterwarnings("ignore", message="IProgress not found")

# heavy imports (torch, transformers) happen on first use, so that `import psd_lib` and `psd --help`
# are instant
_LAZY = {
    "load": "psd_lib.models",
    "generate": "psd_lib.generation",
    "Model": "psd_lib.models",
    "DecodeConfig": "psd_lib.decoding",
}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'psd_lib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
