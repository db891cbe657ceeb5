"""What a notebook says about its numbers. Every sentence is computed, so that it is true whatever
the rows hold.

Each function takes what its notebook shows and returns a `Reading`: what we see, how sure we are,
and with how many items.
"""

from psd_lab.report.readings.axes import combined, spatial, temporal
from psd_lab.report.readings.comparing import comparison, contrast, verdicts
from psd_lab.report.readings.reading import Reading
from psd_lab.report.readings.scoring import scoring

__all__ = [
    "Reading",
    "combined",
    "comparison",
    "contrast",
    "scoring",
    "spatial",
    "temporal",
    "verdicts",
]
