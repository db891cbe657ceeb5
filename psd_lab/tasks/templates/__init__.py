"""The texts that embedded tasks are made of, as YAML files beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psd_lab import yaml_reader


def read(name: str) -> Any:
    """Read one file of templates; `name` is without its ending."""
    return yaml_reader.read_file(Path(__file__).with_name(f"{name}.yaml"))
