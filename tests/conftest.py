"""What several test files need."""

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")


def pytest_addoption(parser):
    parser.addoption(
        "--cases",
        type=int,
        metavar="N",
        help="run at most N cases of each parametrized test, spread evenly over all of them",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    most = config.getoption("--cases")
    if not most:
        return
    cases = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = {case for every in cases.values() for case in every[:: -(-len(every) // most)]}
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [item for item in items if item in kept]


@pytest.fixture(scope="session")
def tiny_model():
    """A random float32 model that needs no files."""
    from psd_lib.testing import tiny_model as make

    return make()
