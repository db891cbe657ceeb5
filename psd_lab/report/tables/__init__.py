"""The project's tables of decoders: each function takes `Results` and returns a `Table`.

TPF is tokens before the first EOS, summed over the items, over model calls summed over the same
items. A batched verification counts as one call, and its rows are reported beside it.
"""

from psd_lab.report.tables.by_model import headline, main, paper
from psd_lab.report.tables.exactness import exactness
from psd_lab.report.tables.precision import precision
from psd_lab.report.tables.summary import summary

__all__ = [
    "exactness",
    "headline",
    "main",
    "paper",
    "precision",
    "summary",
]
