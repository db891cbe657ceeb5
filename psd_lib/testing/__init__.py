"""What tests of strategies and models need: tiny random models, and models that are tables."""

from psd_lib.testing.fakes import FakeDenoiser, TableDenoiser, fake_batch, step_of, table_model
from psd_lib.testing.tiny import (
    EOS,
    MASK,
    save_checkpoint,
    tiny_config,
    tiny_model,
    tiny_tokenizer,
)

__all__ = [
    "EOS",
    "MASK",
    "FakeDenoiser",
    "TableDenoiser",
    "fake_batch",
    "save_checkpoint",
    "step_of",
    "table_model",
    "tiny_config",
    "tiny_model",
    "tiny_tokenizer",
]
