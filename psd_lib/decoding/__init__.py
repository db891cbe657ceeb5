"""The decoding core: one loop over token ids, with policies, draft builders, acceptors and cache
plans as plugs.
"""

from psd_lib.decoding.acceptance import ACCEPTORS
from psd_lib.decoding.drafts import BUILDERS
from psd_lib.decoding.loop import decode
from psd_lib.decoding.policies import POLICIES, ByConfidence
from psd_lib.decoding.presets import CACHES, PRESETS, DecodeConfig, notes_of
from psd_lib.decoding.registry import register
from psd_lib.decoding.scores import Scores
from psd_lib.decoding.stops import STOPS
from psd_lib.decoding.trace import Ledger, Recording

__all__ = [
    "ACCEPTORS",
    "BUILDERS",
    "CACHES",
    "POLICIES",
    "PRESETS",
    "STOPS",
    "ByConfidence",
    "DecodeConfig",
    "Ledger",
    "Recording",
    "Scores",
    "decode",
    "notes_of",
    "register",
]
