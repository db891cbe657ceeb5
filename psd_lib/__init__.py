"""PSD: every training-free decoder for masked diffusion language models in one loop.

model = psd_lib.load("mini-sdar")
out = psd_lib.generate(model, ["..."], decoder="psd", policy="confidence", threshold=0.9, depth=3)
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Heavy imports (torch, transformers) happen on first use, so that `psd --help` is instant.
_MODELS = ("Model", "load")
_GENERATION = ("Generation", "Sequence", "Trace", "generate")
_DECODING = {
    "ACCEPTORS": "registry",
    "CACHES": "registry",
    "DECODERS": "registry",
    "DRAFTERS": "registry",
    "POLICIES": "registry",
    "STOPS": "registry",
    "Acceptor": "strategy",
    "CachePlan": "cache",
    "DecodeConfig": "config",
    "Decoder": "registry",
    "Drafter": "strategy",
    "Drafts": "states",
    "EdgeAcceptor": "accept",
    "Observer": "strategy",
    "Path": "states",
    "Policy": "strategy",
    "Scores": "scores",
    "StopRule": "strategy",
    "Verified": "states",
    "decode": "engine",
    "register": "registry",
    "register_decoder": "registry",
}
_HOMES = {
    **dict.fromkeys(_MODELS, "psd_lib.models"),
    **dict.fromkeys(_GENERATION, "psd_lib.generation"),
    **{name: f"psd_lib.core.{module}" for name, module in _DECODING.items()},
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'psd_lib' has no attribute {name!r}")
    if name in _DECODING:
        import_module("psd_lib.methods")  # names of methods are known whatever was imported before
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
