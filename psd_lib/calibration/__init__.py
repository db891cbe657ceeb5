"""Calibration of draft graphs (Spiffy): recorded trajectories in, a graph file with its provenance
out.
"""

from psd_lib.calibration.calibrate import calibrate
from psd_lib.calibration.files import Calibration, load, names, save

__all__ = ["Calibration", "calibrate", "load", "names", "save"]
