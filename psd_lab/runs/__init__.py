"""Runs: experiments as data, rows on disk, and the notebooks that are executed from them."""

from psd_lab.runs.config import ExperimentConfig
from psd_lab.runs.experiments import experiment, run
from psd_lab.runs.tiers import Tier

__all__ = ["ExperimentConfig", "Tier", "experiment", "run"]
