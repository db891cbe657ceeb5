"""The decoding core: one loop over token ids, with policies, draft builders, acceptors and cache plans as plugs."""

from psd_lib.decoding.acceptance import ACCEPTORS
from psd_lib.decoding.drafts import BUILDERS
from psd_lib.decoding.loop import decode
from psd_lib.decoding.policies import POLICIES
from psd_lib.decoding.presets import CACHES, PRESETS, DecodeConfig
from psd_lib.decoding.trace import Ledger, Recording

__all__ = ["ACCEPTORS", "BUILDERS", "CACHES", "POLICIES", "PRESETS", "DecodeConfig", "Ledger", "Recording", "decode"]
