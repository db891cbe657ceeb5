"""Calibration of draft graphs (Spiffy): from recorded trajectories to a graph file."""

from psd_lab.calibration.calibrate import calibrate
from psd_lib.methods.spiffy import Calibration, load, names, save

__all__ = ["Calibration", "calibrate", "load", "names", "save"]
