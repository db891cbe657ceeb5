"""The main job: execute every notebook at a tier, then publish the rows that their tables and
figures came from.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psd_lab import paths
from psd_lab.interrupts import sigterm_as_interrupt
from psd_lab.runs import checks, estimate, notebooks
from psd_lab.runs.config import ExperimentConfig, names
from psd_lab.runs.experiments import collect
from psd_lab.runs.parallel import decode, default_workers, spread
from psd_lab.runs.rows import Key, Row
from psd_lab.runs.store import PUBLISHED, RowSet, publish, read_published
from psd_lab.runs.tiers import Tier
from psd_lib.errors import UserError


def reproduce(
    tier: Tier,
    pattern: str = "*",
    in_place: bool = False,
    parameters: Mapping[str, Any] | None = None,
    dry_run: bool = False,
) -> list[str]:
    """Execute the notebooks that match `pattern` at a tier and return sentences about what was
    written.

    Executed copies go to data/results/<tier>/notebooks; `in_place` refreshes the notebooks
    themselves instead, which keep the outputs of their default tier. A run of all notebooks also
    publishes its rows as data/results/<tier>/rows.jsonl.gz and compares them with those published
    before; a narrowed tier has a folder of its own, so it never replaces published tables. A tier
    that names its models first checks that everything it needs is there, estimates what it costs,
    and decodes; `dry_run` ends after the estimate.

    Raises:
        UserError: A notebook or parameter is unknown, something is missing, or a cell fails.
    """
    with sigterm_as_interrupt():
        found = notebooks.find(pattern)
        paths.make_folder(paths.ROOT)
        # No parameter is injected in place: the executed notebook is then the notebook, cell for
        # cell.
        injected = {} if in_place else {"TIER": tier.name, **(parameters or {})}
        _check_notebooks(tier, found, injected, in_place)
        whole = not parameters and found == notebooks.find()
        before = published_tokens() if whole else {}
        configs = experiments_of(tier, found)
        if tier.models or dry_run:
            checks.check(tier, configs)
            tier.save()
            print(estimate.estimate(tier, configs), file=sys.stderr)
            if dry_run:
                return [f"nothing was decoded: the estimate is in {tier.folder / estimate.FILE}"]
        decode(tier, configs)
        written = execute(tier, found, injected, in_place, default_workers(configs))
        return written + publish_tier(tier, before) if whole else written


def _check_notebooks(
    tier: Tier, found: list[Path], injected: Mapping[str, Any], in_place: bool
) -> None:
    if in_place and paths.is_installed(found[0]):
        raise UserError(
            "the notebooks are part of the installed package: --in-place is for a checkout."
        )
    for path in found:
        kept = notebooks.default(path, "TIER")
        if in_place and kept != f'"{tier.name}"':
            raise UserError(f"{path.name} keeps outputs of TIER = {kept}, not of {tier.name!r}.")
        notebooks.check(path, injected)


def execute(
    tier: Tier, found: list[Path], injected: Mapping[str, Any], in_place: bool, workers: int = 1
) -> list[str]:
    """Run notebooks, `workers` at a time as their rows are there, and return a sentence about where
    the executed copies are.
    """
    tier.save()
    folder = tier.folder / "notebooks"
    # A copy that failed never lies among the notebooks, where the next run would execute it.
    calls = [
        (
            path,
            path if in_place else folder / path.name,
            injected,
            None,
            folder / f"{path.stem}.failed.ipynb",
        )
        for path in found
    ]
    spread(notebooks.execute, calls, min(workers, len(calls)), "notebooks")
    return [f"{len(found)} executed notebooks in {found[0].parent if in_place else folder}"]


def experiments_of(tier: Tier, found: list[Path]) -> list[ExperimentConfig]:
    """Return the experiments at a tier that some of these notebooks declare, in the tier's order.

    Raises:
        UserError: A notebook declares an experiment that there is not.
    """
    known, declared = names(), set()
    for path in found:
        for name in notebooks.declared(path):
            if name not in known:
                raise UserError(
                    f"{path.name} declares an unknown experiment {name!r}: use one of"
                    f" {', '.join(known)}."
                )
            declared.add(name)
    return [tier.apply(ExperimentConfig.load(name)) for name in chosen(tier) if name in declared]


def chosen(tier: Tier) -> list[str]:
    """Return the names of a tier's experiments: those it lists, else all that have a file."""
    return list(tier.experiments or names())


def published_tokens() -> dict[Key, str]:
    """Return the hash of the tokens of every row published so far, of any tier.

    Read before the run, so that a damaged file is found before hours of work and not after them.
    """
    return {
        key: row["token_ids_hash"]
        for path in paths.files(paths.RESULTS, f"*/{PUBLISHED}")
        for key, row in read_published(path).rows.items()
    }


def publish_tier(tier: Tier, before: Mapping[Key, str]) -> list[str]:
    """Write the rows of all experiments at a tier, and return how they compare with the rows
    published `before`.
    """
    found = RowSet()
    for name in chosen(tier):
        part = collect(ExperimentConfig.load(name), tier)
        found.rows |= part.rows
        found.provenance |= part.provenance
        found.crashes |= part.crashes
    target = tier.folder / PUBLISHED
    publish(target, found.rows.values(), found.provenance)
    missing = (
        [f"{len(found.crashes)} items could not be decoded and have no row; run again to try them"]
        if found.crashes
        else []
    )
    return [f"{len(found.rows)} rows in {target}", compare(found.rows, before), *missing]


def compare(rows: Mapping[Key, Row], before: Mapping[Key, str]) -> str:
    """Return how many rows decoded the very tokens of the rows published earlier for the same
    config and example.
    """
    common = rows.keys() & before.keys()
    same = sum(rows[key]["token_ids_hash"] == before[key] for key in common)
    if not common:
        return "no row was published before for these models, data and decoders"
    return f"{same} of {len(common)} completions equal the published ones token for token"
