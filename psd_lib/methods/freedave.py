"""FreeDave (arXiv 2510.00294): lossless drafts of the model itself; FreeDave++ over a threshold."""

from __future__ import annotations

from psd_lib.core.chain import Chain
from psd_lib.core.policies import TopK
from psd_lib.core.registry import Decoder, register_decoder

register_decoder(
    "freedave",
    Decoder(
        TopK(1),
        Chain(),
        options=("policy", "drafter", "acceptor"),
        exchange=("policy", "acceptor"),
        title="FreeDave",
        source=(
            "FreeDave, arXiv 2510.00294: K drafts are depth K - 1; with a threshold policy "
            "FreeDave++"
        ),
        note=(
            "FreeDave: drafts stay in their block unless eager=True, its mode across blocks. Its "
            "exact_match is replay."
        ),
    ),
)
