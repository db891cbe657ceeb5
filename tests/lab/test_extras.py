"""What is said where an optional dependency is missing."""

import pytest

from psd_lab.extras import require
from psd_lib.errors import UserError


def test_what_is_installed_passes():
    assert require("notebooks", "json", "numpy", purpose="psd reproduce") is None


def test_a_missing_module_is_one_sentence_that_names_its_extra():
    with pytest.raises(UserError) as refusal:
        require("notebooks", "json", "no_such_module", purpose="psd reproduce")
    assert str(refusal.value) == (
        "psd reproduce needs no_such_module, which is not installed: pip install"
        " 'psd-lib[notebooks]'."
    )
