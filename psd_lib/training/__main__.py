"""`python -m psd_lib.training [model]`: the same as the `train` command, for a background process."""

import sys

from psd_lib.training import train

if __name__ == "__main__":
    print(train(*sys.argv[1:2]))
