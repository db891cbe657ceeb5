"""Methods: one file per paper, with its strategies, its decoder, its source and its note.

Importing this package registers all of them: every module of the folder is found and imported, so a
new method is a new file. The core's own strategies and PSD itself come first in every listing.
"""

from importlib import import_module
from pkgutil import iter_modules

from psd_lib.core.accept import Replay
from psd_lib.core.policies import Threshold, TopK
from psd_lib.core.registry import register

for _strategy in (TopK, Threshold, Replay):
    register(_strategy)
for _module in ("psd", *sorted(module.name for module in iter_modules(__path__))):
    import_module(f"{__name__}.{_module}")
