"""Graph files: one JSON per calibrated graph under data/graphs.

Each holds the formulas with their counts, and where they come from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from psd_lib.errors import UserError
from psd_lib.methods.spiffy.graph import CalibratedGraph, Formula, Graph
from psd_lib.paths import GRAPHS, files, find, make_folder

FORMAT = 1


@dataclass(frozen=True)
class Calibration:
    """A calibrated graph as it is stored, best formulas first.

    `counts[n]` is the number of the `states` recorded states from which formula n was reached.
    """

    name: str
    block_length: int
    formulas: tuple[Formula, ...]
    counts: tuple[int, ...]
    states: int
    provenance: dict[str, Any]

    @property
    def graph(self) -> CalibratedGraph:
        """Return what decoding needs of it."""
        graph = Graph(self.formulas)
        text = json.dumps([graph.formulas, self.block_length], separators=(",", ":"))
        return CalibratedGraph(
            graph, self.block_length, self.name, hashlib.sha256(text.encode()).hexdigest()[:12]
        )


def names(folder: Path | None = None) -> list[str]:
    """List the graphs that have a file."""
    return [path.stem for path in files(folder or GRAPHS, "*.json")]


def save(calibration: Calibration, folder: Path | None = None) -> Path:
    """Write the graph's file, which `load` reads by its name."""
    path = make_folder(folder or GRAPHS) / f"{calibration.name}.json"
    text = json.dumps({"format": FORMAT, **asdict(calibration)}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def load(graph: str | Path | None, folder: Path | None = None) -> Calibration:
    """Read a graph by its name in data/graphs or by the path of its file.

    Raises:
        UserError: there is no such file, or it is not a graph file.
    """
    folder = folder or GRAPHS
    there = ", ".join(names(folder)) or "none yet"
    if graph is None:
        raise UserError(
            f"calibrated drafts need a graph, graph=NAME; there are: {there};"
            " `psd calibrate` makes one."
        )
    path = Path(graph) if str(graph).endswith(".json") else find(folder, f"{graph}.json")
    if not path.is_file():
        raise UserError(
            f"unknown graph {str(graph)!r}; there are: {there}; `psd calibrate` makes one."
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != FORMAT:
            raise ValueError("another format")
        found = Calibration(**data)
        return Calibration(
            **{**data, "formulas": found.graph.graph.formulas, "counts": tuple(found.counts)}
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is no graph file ({error}); `psd calibrate` writes one.") from None
