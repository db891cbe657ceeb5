"""Loading checkpoints with stock transformers classes: never remote code, and nothing missing goes unnoticed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from psd_lib.errors import UserError
from psd_lib.models.denoiser import NetworkDenoiser
from psd_lib.models.families import Family, family_of
from psd_lib.models.weights import network
from psd_lib.paths import MODELS, ROOT

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Model:
    """A loaded checkpoint: the denoiser, its tokenizer and the facts that decoding needs.

    `block_length` is the checkpoint's own; `max_positions` the longest prompt plus generation; `fingerprint` identifies
    weights and config in rows.
    """

    name: str
    denoiser: NetworkDenoiser
    tokenizer: transformers.PreTrainedTokenizerFast
    family: Family
    block_length: int
    max_positions: int
    fingerprint: str

    @property
    def mask_id(self) -> int:
        """Id of the mask token."""
        return self.denoiser.mask_id

    @property
    def eos_id(self) -> int:
        """Id of the (first) end-of-sequence token."""
        return self.denoiser.eos_ids[0]


def load(path_or_repo: str | Path, revision: str | None = None, dtype: str = "float32", device: str | None = None) -> Model:
    """Load a checkpoint from a folder, by the name of an embedded model, or from the Hub.

    `dtype` is one of float32, float64, bfloat16, float16; `device` None takes a GPU when there is one. Raises UserError
    when the checkpoint is missing, truncated, of an unknown family, or its tensors do not fit its config.
    """
    if dtype not in DTYPES:
        raise UserError(f"unknown dtype {dtype!r}; choose one of: {', '.join(DTYPES)}.")
    folder = locate(path_or_repo, revision)
    raw = _config(folder)
    family = family_of(raw)
    loaded = network(folder, raw, family, DTYPES[dtype])
    loaded.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    tokenizer = _tokenizer(folder)
    mask_id = raw.get("mask_token_id", tokenizer.mask_token_id)
    eos = raw.get("eos_token_id", tokenizer.eos_token_id)
    if mask_id is None or eos is None:
        raise UserError(f"{folder}: neither config.json nor the tokenizer names a mask token and an end-of-sequence token.")
    eos_ids = tuple(eos) if isinstance(eos, list) else (eos,)
    denoiser = NetworkDenoiser(loaded, family, mask_id, eos_ids, min(len(tokenizer), loaded.config.vocab_size))
    return Model(
        folder.name, denoiser, tokenizer, family, int(raw.get("block_size", family.default_block_length)),
        loaded.config.max_position_embeddings, fingerprint(folder),
    )  # fmt: skip


def locate(path_or_repo: str | Path, revision: str | None = None) -> Path:
    """The folder of a checkpoint: a path, a name under data/models, or a Hub repository `owner/name` (downloaded)."""
    for candidate in (Path(path_or_repo), ROOT / path_or_repo, MODELS / path_or_repo):
        if candidate.is_dir():
            return candidate
    name = str(path_or_repo)
    embedded = sorted(folder.parent.name for folder in MODELS.glob("*/config.json"))
    if name.count("/") != 1 or name.startswith((".", "/", "data/")):
        raise UserError(
            f"no checkpoint {name!r}: give a folder, a Hub repository owner/name, or one of: {', '.join(embedded) or 'none'}."
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=["*.json", "*.safetensors", "*.txt"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot get {name!r} (revision {revision or 'main'}) from the Hub: {reason}") from error


def fingerprint(folder: Path) -> str:
    """First 12 hex digits of the sha256 over config and weights; files over 64 MiB count by size, head and tail."""
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
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); restore it from the checkpoint's source.") from error


def _tokenizer(folder: Path) -> transformers.PreTrainedTokenizerFast:
    if not (folder / "tokenizer.json").is_file():
        raise UserError(f"{folder} has no tokenizer.json.")
    return transformers.PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
