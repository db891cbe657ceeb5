"""The texts that embedded tasks are made of, as YAML files beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def read(name: str) -> Any:
    """Read one file of templates; `name` is without its ending."""
    return yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8"))
