"""Every published row keeps its name: what decides a row is hashed as it was when the row was
written.
"""

import gzip
import json

import pytest

from psd_lab import paths
from psd_lab.runs.checkpoints import checkpoint
from psd_lab.runs.config import ExperimentConfig, config_hash
from psd_lab.runs.experiments import plan
from psd_lab.runs.reproduce import PUBLISHED, chosen
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
    items = {}
    for experiment in chosen(tier):
        config = tier.apply(ExperimentConfig.load(experiment))
        for model in config.models:
            for task in config.tasks:
                items |= {item.hash: item for item in plan(config, checkpoint(model), task, tier)}
    assert items.keys() == published.keys()
    for name, item in items.items():
        assert item.config.to_dict() == published[name]["decode"]
        assert item.describe() == {key: published[name][key] for key in item.describe()}
