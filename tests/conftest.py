"""What several test files need."""

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")


@pytest.fixture(scope="session")
def tiny_model():
    """A random float32 model that needs no files."""
    from psd_lib.testing import tiny_model as make

    return make()
