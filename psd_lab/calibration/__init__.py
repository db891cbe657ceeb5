"""Calibration of draft graphs (Spiffy): recorded trajectories in, a graph file with its provenance
out.
"""

from psd_lab.calibration.calibrate import calibrate
from psd_lib.decoding.graph_files import Calibration, load, names, save

__all__ = ["Calibration", "calibrate", "load", "names", "save"]
