"""Numbers of every kind: each dtype that `load` accepts decodes, and so does any default dtype."""

import subprocess
import sys

import pytest
import torch
from support.models import nan_model

import psd_lib
from psd_lib.errors import UserError
from psd_lib.models import FAMILIES
from psd_lib.models.loading import DTYPES
from psd_lib.testing import save_checkpoint, tiny_model

EXPERTS = [name for name in FAMILIES if name.endswith("_moe")]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", ["sdar", "llada", *EXPERTS])
def test_every_dtype_that_loads_decodes(tmp_path, family, dtype):
    folder = save_checkpoint(tiny_model(0, family=family), tmp_path / "tiny")
    model = psd_lib.load(folder, dtype=dtype)
    # transformers keeps the routers of some experts in float32
    assert model.denoiser.network.lm_head.weight.dtype == DTYPES[dtype]
    assert psd_lib.generate(model, "w3 w4", gen_length=8)[0].n_tokens <= 8


@pytest.mark.parametrize("family", EXPERTS)
def test_experts_in_float64_compute_what_they_do_in_float32(tmp_path, family):
    folder = save_checkpoint(tiny_model(0, family=family), tmp_path / "tiny")
    ids, position = torch.tensor([[3, 4, 5, 6]]), torch.arange(4)[None]
    visible, row = torch.ones(1, 1, 4, 4, dtype=torch.bool), torch.zeros(4, dtype=torch.long)
    one, other = (
        psd_lib.load(folder, dtype=dtype).denoiser.logits(ids, position, visible, row, position[0])
        for dtype in ("float32", "float64")
    )
    torch.testing.assert_close(one.double(), other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "words"),
    [("int8", "unknown dtype 'int8'"), (torch.int8, "unknown dtype torch.int8"), ([], "unknown")],
)
def test_other_dtypes_are_refused(dtype, words):
    with pytest.raises(UserError, match=words):
        psd_lib.load("mini-sdar", dtype=dtype)


def test_a_torch_dtype_is_as_good_as_its_name(tmp_path):
    folder = save_checkpoint(tiny_model(0), tmp_path / "tiny")
    model = psd_lib.load(folder, dtype=torch.bfloat16)
    assert next(model.denoiser.network.parameters()).dtype == torch.bfloat16


DEFAULT = """
import psd_lib, torch
torch.set_default_dtype(torch.{default})
model = psd_lib.load("mini-sdar", device="cpu")
assert next(model.denoiser.network.parameters()).dtype == torch.float32
out = psd_lib.generate(model, "def f(x):", gen_length=32, temperature=0.5, record_scores=True)[0]
print(out.tokens, out.trace.confidence.dtype)
"""


@pytest.mark.thorough
def test_the_default_dtype_changes_nothing():
    """In processes of their own, since the default is the process's."""
    found = {
        subprocess.run(
            [sys.executable, "-c", DEFAULT.format(default=default)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for default in ("float32", "bfloat16", "float64")
    }
    assert len(found) == 1


def test_logits_that_are_no_numbers_are_one_sentence():
    with pytest.raises(UserError, match="NaN") as caught:
        psd_lib.generate(nan_model(), "w3 w4", gen_length=8)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["meta", "tpu9", 3.5, []])
def test_devices_that_compute_nothing_are_refused(device):
    with pytest.raises(UserError, match="is not available here; use 'cpu'"):
        psd_lib.load("mini-sdar", device=device)
