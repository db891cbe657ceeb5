"""PSD (arXiv 2605.15609): its decoder, and the greedy and blind ones that it is measured against.

Its strategies are `psd_lib.core.policies`, `chain` and `accept`.
"""

from __future__ import annotations

from dataclasses import replace

from psd_lib.core.policies import Threshold, TopK
from psd_lib.core.registry import DECODERS, Decoder, register_decoder
from psd_lib.methods.freedave import EagerChain

EVERYTHING = ("policy", "drafter", "acceptor", "stop")

register_decoder(
    "greedy",
    Decoder(TopK(1), title="greedy", source="one token per step, the reference of all papers"),
)
# One position a step is greedy; asked for by its own name, the policy takes two unless told more.
DECODERS["top_k"] = replace(DECODERS["top_k"], policy=TopK(2))
register_decoder(
    "psd",
    Decoder(
        Threshold(),
        EagerChain(),
        options=EVERYTHING,
        exchange=EVERYTHING,
        title="PSD",
        source=(
            "PSD, arXiv 2605.15609; acceptance by replay is our exact reading of an unpublished "
            "rule"
        ),
        note=(
            "PSD (reconstructed): its acceptance rule and its tokens per level are not published; "
            "replay and 1 are our reading."
        ),
        reconstructed=True,
    ),
)
