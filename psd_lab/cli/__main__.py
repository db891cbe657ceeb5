"""`python -m psd_lab.cli` is the `psd` command."""

import sys

from psd_lab.cli import main

sys.exit(main())
