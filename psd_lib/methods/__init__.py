"""Methods: one file per paper, with its strategies, its decoder, its source and its note.

Importing this package registers all of them: every module of the folder is found and imported, so a
new method is a new file.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")
