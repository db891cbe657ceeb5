"""Loading checkpoints with stock transformers classes: never remote code, and nothing missing goes
unnoticed.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from psd_lib.errors import UserError
from psd_lib.models import chat, memory
from psd_lib.models.denoiser import NetworkDenoiser
from psd_lib.models.families import Family, family_of
from psd_lib.models.files import read_json
from psd_lib.models.hub import locate, room
from psd_lib.models.released import SUPPORTED
from psd_lib.models.tokenizers import ids, tokenizer
from psd_lib.models.weights import headers, network, stock_config

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
BILLION = 1e9


@dataclass(frozen=True)
class Model:
    """A loaded checkpoint: the denoiser, its tokenizer and the facts that decoding needs.

    `block_length` is the checkpoint's own; `max_positions` the longest prompt plus generation;
    `fingerprint` identifies weights and config in rows; `begin_id` is the token that some models
    expect first (openPangu always, Dream's base model in its authors' evaluation), None where there
    is none; `pad_id` fills rows and is never the mask.
    """

    name: str
    denoiser: NetworkDenoiser
    tokenizer: transformers.PreTrainedTokenizerBase
    family: Family
    block_length: int
    max_positions: int
    fingerprint: str
    begin_id: int | None = None
    pad_id: int | None = None

    @property
    def mask_id(self) -> int:
        """Id of the mask token."""
        return self.denoiser.mask_id

    @property
    def eos_id(self) -> int:
        """Id of the (first) end-of-sequence token."""
        return self.denoiser.eos_ids[0]

    def chat(self, messages: list[dict[str, str]], **options) -> str:
        """The prompt text of a conversation, see `psd_lib.models.chat.render`."""
        return chat.render(self.tokenizer, messages, **options)

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt text: as it stands, behind the beginning that every prompt of some
        families has.
        """
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        begins = (
            self.family.begins
            and self.begin_id is not None
            and ids[:1] not in ([], [self.begin_id])
        )
        return [self.begin_id, *ids] if begins else ids


def load(
    path_or_repo: str | Path,
    revision: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
) -> Model:
    """Load a checkpoint from a folder, by the name of an embedded model, or from the Hub.

    `revision` None is the pin of `SUPPORTED`, else `main`. `dtype` is one of float32, float64,
    bfloat16, float16; None is bfloat16 from a billion parameters on, else float32. `device` None
    takes a GPU when there is one. Says on stderr how much memory a large checkpoint needs. Raises
    UserError when the checkpoint is missing, truncated, of an unknown family, too large, or its
    tensors, flags, vocabulary or special tokens do not fit.
    """
    if dtype is not None and dtype not in DTYPES:
        raise UserError(f"unknown dtype {dtype!r}; choose one of: {', '.join(DTYPES)}.")
    place = _device(device)
    repo = str(path_or_repo)
    if repo in SUPPORTED and not Path(repo).is_dir():
        memory.check(
            repo,
            SUPPORTED[repo].parameters * 1e9,
            _dtype(dtype, SUPPORTED[repo].parameters * 1e9),
            place,
        )
        room(repo)
    folder = locate(path_or_repo, revision)
    raw = _config(folder)
    family = family_of(raw)
    stored = headers(folder)
    parameters = sum(header.size for header in stored.values())
    config = stock_config(folder, raw, family, stored)
    words = tokenizer(folder, family)
    special = ids(folder, raw, family, words, config.vocab_size)
    wanted = _dtype(dtype, parameters)
    name = Path(repo).name or folder.resolve().name
    memory.announce(name, parameters, wanted, place, memory.per_token(config, wanted))
    memory.check(name, parameters, wanted, place)
    loaded = network(folder, family, config, wanted, bar=parameters > BILLION).to(place)
    denoiser = NetworkDenoiser(loaded, family, special.mask, special.stop, len(words))
    return Model(
        name,
        denoiser,
        words,
        family,
        _block_length(raw, family, repo),
        config.max_position_embeddings,
        fingerprint(folder),
        special.begin,
        special.pad,
    )


def fingerprint(folder: Path) -> str:
    """First 12 hex digits of the sha256 over config and weights; files over 64 MiB count by size,
    head and tail.
    """
    digest, part = hashlib.sha256(), 1 << 26
    for path in sorted([folder / "config.json", *folder.glob("*.safetensors")]):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size};".encode())
        with path.open("rb") as file:
            digest.update(file.read(part))
            if size > part:
                file.seek(-min(part, size - part), 2)
                digest.update(file.read())
    return digest.hexdigest()[:12]


def _config(folder: Path) -> dict:
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder} is no checkpoint: config.json is missing.")
    return read_json(path)


def _dtype(name: str | None, parameters: float) -> torch.dtype:
    return DTYPES[name or ("bfloat16" if parameters > BILLION else "float32")]


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device {name!r} is not available here; use 'cpu', or 'cuda' where there is a GPU."
        ) from error
    return device


def _block_length(raw: dict, family: Family, name: str) -> int:
    """The checkpoint's own block length; early SDAR configs lack it and say it in the repository's
    name (`...-b32`).
    """
    told = re.search(r"-b(\d+)$", name) if family.name == "sdar" else None
    length = raw.get("block_size") or (told and told[1]) or family.default_block_length
    return int(length)
