"""`python -m psd_lib.tasks [name ...]`: writes the fixed sets of the generated tasks to data/tasks/."""

from __future__ import annotations

import sys

from psd_lib.errors import UserError
from psd_lib.tasks import fixed, get, names


def main(arguments: list[str]) -> int:
    """Writes the named tasks' sets, or all; returns the exit status (2 on an unknown name)."""
    try:
        chosen = [get(name) for name in arguments or names()]
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for task in chosen:
        print(f"{task.name}: {fixed.write(task)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
