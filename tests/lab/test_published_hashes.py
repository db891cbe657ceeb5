"""Every published row keeps its name: what decides a row is hashed as it was when the row was
written.
"""

import gzip
import json

import pytest

from psd_lab import paths
from psd_lab.runs.config import ExperimentConfig, config_hash
from psd_lab.runs.experiments import plan
from psd_lab.runs.reproduce import PUBLISHED, chosen
from psd_lab.runs.sources import source
from psd_lab.runs.tiers import CITED, Tier


@pytest.fixture(scope="module")
def published():
    """One published row of every configuration, by config hash."""
    found = {}
    with gzip.open(paths.RESULTS / CITED / PUBLISHED, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if "config_hash" in row:
                found.setdefault(row["config_hash"], row)
    return found


def test_stored_fields_hash_to_the_stored_name(published):
    for name, row in published.items():
        dtype = None if row["dtype"] == "float32" else row["dtype"]
        hashed = config_hash(
            row["model_fingerprint"],
            row["task"],
            row["split"],
            row["data_hash"],
            row["decode"],
            dtype=dtype,
            profile=row["profile"],
            second=row.get("second_fingerprint"),
        )
        assert hashed == name


def test_experiments_of_today_name_exactly_the_published_configurations(published):
    tier = Tier.load(CITED)
    units = {}
    for experiment in chosen(tier):
        config = tier.apply(ExperimentConfig.load(experiment))
        for model in config.models:
            for task in config.tasks:
                units |= {unit.hash: unit for unit in plan(config, source(model), task, tier)}
    assert units.keys() == published.keys()
    for name, unit in units.items():
        assert unit.config.to_dict() == published[name]["decode"]
        assert unit.describe() == {key: published[name][key] for key in unit.describe()}
