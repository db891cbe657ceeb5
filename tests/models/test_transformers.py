"""Every version of transformers in the range of pyproject.toml runs the models, without warnings.

`.ci/transformers` runs this and other tests with both ends of the range.
"""

import re
import tomllib
import warnings
from pathlib import Path

import pytest
import torch
import transformers

import psd_lib
from psd_lib.models import FAMILIES
from psd_lib.testing import tiny_model

ROOT = Path(__file__).parents[2]


def ends():
    """The first version that is admitted and the first that is not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (line,) = [line for line in project["dependencies"] if line.startswith("transformers")]
    return re.fullmatch(r"transformers>=([\d.]+),<([\d.]+)", line).groups()


def numbers(version):
    return tuple(int(part) for part in version.split(".")[:2])


def test_the_installed_version_is_admitted_and_the_script_of_ci_takes_both_ends():
    first, after = ends()
    assert numbers(first) <= numbers(transformers.__version__) < numbers(after)
    script = (ROOT / ".ci" / "transformers").read_text(encoding="utf-8")
    assert f'"transformers=={first}.0" "transformers<{after}"' in script


@pytest.mark.parametrize("name", FAMILIES)
def test_decoding_warns_of_nothing(name):
    model = tiny_model(0, family=name)
    caches = ["none"] if model.family.sees_future else ["none", "exact_block"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        texts = {psd_lib.generate(model, "w3 w4", cache=c, gen_length=16)[0].text for c in caches}
    assert len(texts) == 1


@torch.inference_mode()
def test_stored_columns_are_seen_before_the_new_ones_which_are_noted():
    """Two columns in one call, and the second after the first was stored: the same logits."""
    denoiser = tiny_model(0, family="qwen3").denoiser
    ids, position = torch.tensor([[3, 4, 5]]), torch.arange(3)[None]
    causal = torch.ones(1, 1, 3, 3, dtype=torch.bool).tril()
    row, column = torch.zeros(1, dtype=torch.long), torch.tensor([3])
    whole = denoiser.logits(ids, position, causal, row, column)
    stored, new = [], []
    denoiser.logits(ids[:, :2], position[:, :2], causal[:, :, :2, :2], row, row + 1, new=stored)
    seen = causal[:, :, 2:]
    last = denoiser.logits(ids[:, 2:], position[:, 2:], seen, row, row + 1, stored=stored, new=new)
    torch.testing.assert_close(last, whole, atol=1e-5, rtol=1e-5)
    assert [part[0].shape[2] for part in stored] == [2, 2]
    assert [part[0].shape[2] for part in new] == [1, 1]
