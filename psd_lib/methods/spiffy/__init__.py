"""Spiffy (arXiv 2509.18085): calibrated draft graphs, and the chain that is PSD's baseline."""

from psd_lib.core.policies import TopK
from psd_lib.core.registry import Decoder, register_decoder
from psd_lib.methods.freedave import EagerChain
from psd_lib.methods.spiffy.calibrated import Calibrated
from psd_lib.methods.spiffy.files import Calibration, load, names, save
from psd_lib.methods.spiffy.graph import CalibratedGraph, Formula, Graph

register_decoder(
    "spiffy",
    Decoder(
        TopK(1),
        EagerChain(),
        options=("drafter", "acceptor"),
        exchange=("drafter", "acceptor"),
        title="Spiffy",
        source=(
            "Spiffy, arXiv 2509.18085, as PSD's temporal baseline: a chain; drafter='calibrated' "
            "for its own graph"
        ),
        note=(
            "Spiffy as PSD's temporal baseline (reconstructed) is a chain of depth d; its own "
            "graph is builder 'calibrated'."
        ),
        reconstructed=True,
    ),
)

__all__ = [
    "Calibrated",
    "CalibratedGraph",
    "Calibration",
    "Formula",
    "Graph",
    "load",
    "names",
    "save",
]
