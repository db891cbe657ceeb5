"""Draft builders, the temporal axis: which later states are worth checking in the same call?

A builder sees the state after the policy's certain step (node 0) and the scores from before it
(stale), and guesses states that the policy may reach next. It costs no forward of the model, and it
can be arbitrarily wrong: acceptance decides. To add one, write a frozen dataclass in a file of this
folder and list it in `BUILDERS`.
"""

from psd_lib.decoding.drafts.base import DraftBuilder, Drafts, NoDraft
from psd_lib.decoding.drafts.branches import Candidates, Explore, Lookahead
from psd_lib.decoding.drafts.calibrated import Calibrated
from psd_lib.decoding.drafts.chain import Chain
from psd_lib.decoding.drafts.draft_model import DraftModel
from psd_lib.decoding.drafts.graph import MixOrder, OrderSwap
from psd_lib.decoding.drafts.packed import Packed

BUILDERS: dict[str, type] = {
    builder.name: builder
    for builder in (
        NoDraft,
        Chain,
        OrderSwap,
        MixOrder,
        Calibrated,
        DraftModel,
        Packed,
        Lookahead,
        Candidates,
        Explore,
    )
}

__all__ = [
    "BUILDERS",
    "Calibrated",
    "Candidates",
    "Chain",
    "DraftBuilder",
    "DraftModel",
    "Drafts",
    "Explore",
    "Lookahead",
    "MixOrder",
    "NoDraft",
    "OrderSwap",
    "Packed",
]
