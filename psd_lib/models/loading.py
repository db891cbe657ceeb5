"""Load checkpoints with stock transformers classes.

Remote code is never run, and nothing that is missing goes unnoticed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import torch

from psd_lib.errors import UserError
from psd_lib.models import memory
from psd_lib.models.denoiser import NetworkDenoiser
from psd_lib.models.families import Family, family_of
from psd_lib.models.fields import check_fields
from psd_lib.models.files import read_json
from psd_lib.models.fingerprints import fingerprint
from psd_lib.models.hub import locate, name_of, room
from psd_lib.models.model import Model
from psd_lib.models.released import SUPPORTED
from psd_lib.models.tokenizers import ids, tokenizer, vocabulary_size
from psd_lib.models.weights import headers, network, stock_config

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
BILLION = 1e9


def load(
    path_or_repo: str | Path,
    revision: str | None = None,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
) -> Model:
    """Load a checkpoint from a folder, by the name of an embedded model, or from the Hub.

    `revision` None is the pin of `SUPPORTED`, else `main`. `dtype` is one of float32, float64,
    bfloat16, float16; None is bfloat16 from a billion parameters on, else float32. `device` None
    takes a GPU when there is one. Prints to stderr how much memory a large checkpoint needs, and
    what the checkpoint does not say and had to be guessed.

    Raises:
        UserError: the checkpoint is missing, truncated, of an unknown family, too large, or its
            tensors, flags, vocabulary or special tokens do not fit.
    """
    dtype_name = str(dtype).removeprefix("torch.")
    if dtype is not None and dtype_name not in DTYPES:
        raise UserError(f"unknown dtype {dtype!r}; choose one of: {', '.join(DTYPES)}.")
    wanted = None if dtype is None else DTYPES[dtype_name]
    place = _device(device)
    repo = str(path_or_repo)
    if repo in SUPPORTED and not Path(repo).is_dir():
        parameters = SUPPORTED[repo].parameters * 1e9
        memory.check(repo, parameters, wanted or _usual(parameters), place)
        room(repo)
    folder = locate(path_or_repo, revision)
    raw = config_of(folder)
    family = family_of(raw)
    stored = headers(folder)
    parameters = sum(header.size for header in stored.values())
    config = stock_config(folder, raw, family, stored)
    words = tokenizer(folder, family)
    special = ids(folder, raw, family, words, config.vocab_size)
    wanted = wanted or _usual(parameters)
    name = name_of(folder)
    memory.announce(name, parameters, wanted, place, memory.per_token(config, wanted))
    memory.check(name, parameters, wanted, place)
    loaded = network(folder, family, config, wanted, bar=parameters > BILLION)
    torch.nn.Module.to(loaded, place)
    return Model(
        name=name,
        denoiser=NetworkDenoiser(
            loaded, family, special.mask, special.stop, vocabulary_size(words)
        ),
        tokenizer=words,
        family=family,
        block_length=_block_length(raw, family, name),
        max_positions=config.max_position_embeddings,
        fingerprint=fingerprint(folder),
        begin_id=special.begin,
        pad_id=special.pad,
    )


def config_of(folder: Path) -> dict[str, Any]:
    """Return the fields of a checkpoint's config.json that are not null.

    Raises:
        UserError: the file is missing or damaged, or a field has a value of the wrong type.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder} is not a checkpoint: config.json is missing.")
    return check_fields(read_json(path))


def _usual(parameters: float) -> torch.dtype:
    return torch.bfloat16 if parameters > BILLION else torch.float32


def _device(name: str | torch.device | None) -> torch.device:
    try:
        usual = "cuda" if torch.cuda.is_available() else "cpu"
        device = torch.device(usual if name is None else name)
        torch.ones(1, device=device).item()  # also refuses devices that compute nothing
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise UserError(
            f"device {name!r} is not available here; use 'cpu', or 'cuda' where there is a GPU."
        ) from error
    return device


def _block_length(raw: dict[str, Any], family: Family, name: str) -> int:
    """Return the checkpoint's own block length; where config.json lacks it, say what was guessed.

    Early SDAR uploads have it only in their repository's name (`...-b32`). A fully bidirectional
    model was not trained with one, so its family's usual length is no guess about the checkpoint.
    """
    given = raw.get("block_size", raw.get("bd_size"))
    if given is not None:
        return int(given)
    named = re.search(r"-b([1-9]\d*)$", name) if family.name == "sdar" else None
    length = int(named[1]) if named else family.default_block_length
    if not family.sees_future and length > 1:
        why = "from its name" if named else f"as usual for {family.name}"
        print(f"{name}: config.json has no block_size; taking {length}, {why}.", file=sys.stderr)
    return length
