"""The main job: execute every notebook at a tier, then publish the rows that their tables and figures came from."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from psd_lib.errors import UserError
from psd_lib.paths import RESULTS
from psd_lib.progress import progress, silenced
from psd_lib.runs import notebooks
from psd_lib.runs.config import ExperimentConfig, Tier, names
from psd_lib.runs.experiments import collect
from psd_lib.runs.store import Contents, Key, Row, publish, read_published

PUBLISHED = "rows.jsonl.gz"


def reproduce(tier: str, pattern: str = "*", limit: int | None = None, in_place: bool = False,
              parameters: Mapping[str, Any] | None = None) -> list[str]:  # fmt: skip
    """Execute the notebooks that match `pattern` at a tier and return sentences about what was written.

    Executed copies go to data/results/<tier>/notebooks; `in_place` refreshes the notebooks themselves instead, which
    keep the outputs of their default tier. `limit` cuts the tier to fewer examples per task. A run of all notebooks
    also publishes its rows as data/results/<tier>/rows.jsonl.gz and compares them with those published before.
    Raises UserError on unknown tiers and notebooks, refused parameters, and failing cells.
    """
    name = tier if limit is None else f"{tier}:{limit}"
    Tier.load(name)
    paths = notebooks.find(pattern)
    if in_place and (wrong := [path for path in paths if notebooks.default(path, "TIER") != f'"{name}"']):
        raise UserError(f"{wrong[0].name} keeps outputs of TIER = {notebooks.default(wrong[0], 'TIER')}, not of {name!r}.")
    # No parameter is injected in place: the executed notebook is then the notebook, cell for cell.
    injected = {} if in_place else {"TIER": name, **(parameters or {})}
    for path in paths:
        notebooks.check(path, injected)
    folder = RESULTS / name / "notebooks"
    show = (lambda line: None) if silenced() else (lambda line: tqdm.write(f"  {line}", file=sys.stderr))
    for path in progress(paths, label="notebooks"):
        output = path if in_place else folder / path.name
        notebooks.execute(path, output, injected, show)
    written = [f"{len(paths)} executed notebooks in {paths[0].parent if in_place else folder}"]
    if limit is None and not parameters and paths == notebooks.find():
        written += publish_tier(name)
    return written


def publish_tier(tier: str) -> list[str]:
    """Write the rows of all experiments at a tier, and say how they compare with the rows published before."""
    found, before = Contents(), Contents()
    for name in names():
        part = collect(ExperimentConfig.load(name), Tier.load(tier).limit)
        found.rows |= part.rows
        found.provenance |= part.provenance
    for path in sorted(RESULTS.glob(f"*/{PUBLISHED}")):
        before.rows |= read_published(path).rows
    target = RESULTS / tier / PUBLISHED
    publish(target, found.rows.values(), found.provenance)
    return [f"{len(found.rows)} rows in {target}", compare(found.rows, before.rows)]


def compare(rows: Mapping[Key, Row], before: Mapping[Key, Row]) -> str:
    """Say how many rows decoded the very tokens of the rows published earlier for the same config and example."""
    common = rows.keys() & before.keys()
    same = sum(rows[key]["token_ids_hash"] == before[key]["token_ids_hash"] for key in common)
    if not common:
        return "no row was published before for these models, data and decoders"
    return f"{same} of {len(common)} completions equal the published ones token for token"

