"""The decoding core: PSD's one loop over token ids, and the contract of its strategies.

Read in this order: `engine` (the algorithm), `strategy` (the contract), `policies`, `chain` and
`accept` (PSD's own strategies), `config` (decoders by name); then `scores`, `canvas`, `cache`,
`attention` and `trace`, which the engine stands on.
"""

from psd_lib.core import chain, policies, presets  # noqa: F401 (they register themselves)
from psd_lib.core.accept import EdgeAcceptor
from psd_lib.core.cache import CachePlan
from psd_lib.core.config import DecodeConfig
from psd_lib.core.engine import decode
from psd_lib.core.ledger import Ledger
from psd_lib.core.registry import (
    ACCEPTORS,
    CACHES,
    DECODERS,
    DRAFTERS,
    POLICIES,
    STOPS,
    Decoder,
    register,
    register_decoder,
)
from psd_lib.core.scores import Scores
from psd_lib.core.states import Drafts
from psd_lib.core.strategy import Acceptor, Drafter, Observer, Policy, StopRule
from psd_lib.core.trace import Recording

__all__ = [
    "ACCEPTORS",
    "CACHES",
    "DECODERS",
    "DRAFTERS",
    "POLICIES",
    "STOPS",
    "Acceptor",
    "CachePlan",
    "DecodeConfig",
    "Decoder",
    "Drafter",
    "Drafts",
    "EdgeAcceptor",
    "Ledger",
    "Observer",
    "Policy",
    "Recording",
    "Scores",
    "StopRule",
    "decode",
    "register",
    "register_decoder",
]
