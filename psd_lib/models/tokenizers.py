"""Tokenizers with concrete stock classes, and the ids of mask, stop and begin: from config, family
table or tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import transformers

from psd_lib.errors import UserError
from psd_lib.models.chat import TEMPLATES
from psd_lib.models.families import Family
from psd_lib.models.files import read_json
from psd_lib.models.weights import quiet


@dataclass(frozen=True)
class Ids:
    """`mask` stands for undecided positions, any of `stop` ends a text (end of text, end of turn),
    `pad` fills rows, `begin` may start a text."""

    mask: int
    stop: tuple[int, ...]
    pad: int
    begin: int | None


def tokenizer(folder: Path, family: Family) -> transformers.PreTrainedTokenizerBase:
    """The folder's tokenizer: `tokenizer.json` describes itself, `vocab.json` with `merges.txt` is
    Qwen2's.

    It gets the family's chat template where it has none. Never `AutoTokenizer`, which asks for
    remote code where the released class is not stock. Raises UserError.
    """
    if (folder / "tokenizer.json").is_file():
        kind = transformers.PreTrainedTokenizerFast
    elif (
        family.qwen_tokenizer
        and (folder / "vocab.json").is_file()
        and (folder / "merges.txt").is_file()
    ):
        kind = transformers.Qwen2Tokenizer
    elif family.name == "PanguEmbedded":
        raise UserError(
            f"{folder} has no tokenizer.json: openPangu ships a SentencePiece model that only its"
            " own code reads, which is never run here; convert it and put the tokenizer.json into"
            " a local folder with the checkpoint."
        )
    else:
        wanted = (
            "tokenizer.json (or vocab.json and merges.txt)"
            if family.qwen_tokenizer
            else "tokenizer.json"
        )
        raise UserError(f"{folder} has no {wanted}; download the checkpoint again.")
    try:
        with quiet(bar=False):
            words = kind.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the Rust tokenizers raise bare Exception for damaged files
        raise UserError(
            f"{folder}: the tokenizer files cannot be read ({str(error).splitlines()[0]}); restore"
            " them."
        ) from error
    words.chat_template = words.chat_template or TEMPLATES.get(family.name)
    return words


def ids(
    folder: Path, raw: dict, family: Family, words: transformers.PreTrainedTokenizerBase, rows: int
) -> Ids:
    """The special ids of a checkpoint whose embedding has `rows` rows.

    The config speaks first, then the family's table if the vocabulary is the released one, then the
    tokenizer: released tokenizer files contradict each other on the mask's string, so its id is
    never looked up by string. Stop ids of config, generation_config.json and table are joined.
    Raises UserError where one is missing or no row of the embedding.
    """
    known = family.special if family.special and rows in family.special.rows else None
    mask = raw.get("mask_token_id")
    if mask is None:
        mask = known.mask if known else words.mask_token_id
    if mask is None:
        raise UserError(
            f"{folder}: neither config.json nor the tokenizer names a mask token; set mask_token_id"
            " in config.json."
        )
    path = folder / "generation_config.json"
    more = read_json(path).get("eos_token_id") if path.is_file() else None
    stop = list(
        dict.fromkeys(
            [*_listed(raw.get("eos_token_id")), *_listed(more), *(known.stop if known else ())]
        )
    )
    stop = stop or _listed(words.eos_token_id)
    if not stop:
        raise UserError(
            f"{folder}: neither config.json nor the tokenizer names an end-of-sequence token; set"
            " eos_token_id in config.json."
        )
    for name, value in (("mask_token_id", mask), *(("eos_token_id", value) for value in stop)):
        if not 0 <= value < rows:
            raise UserError(
                f"{folder}: {name} {value} is no row of the embedding, which has {rows}."
            )
    if mask in stop:
        raise UserError(
            f"{folder}: token {mask} is both mask and end of sequence; they must differ."
        )
    if len(words) > rows:
        raise UserError(
            f"{folder}: the tokenizer has {len(words)} tokens but the embedding only {rows} rows;"
            " take both of one checkpoint."
        )
    pad = next(
        value
        for value in (raw.get("pad_token_id"), known and known.pad, words.pad_token_id, stop[0])
        if value is not None
    )
    if pad == mask:  # attention would take padding for undecided positions
        pad = stop[0]
    return Ids(mask, tuple(stop), pad, known.begin if known else words.bos_token_id)


def _listed(value: int | list[int] | None) -> list[int]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
