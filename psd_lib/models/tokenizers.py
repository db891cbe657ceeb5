"""Load tokenizers with concrete stock classes, and find the ids of mask, stop and begin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from psd_lib.errors import UserError
from psd_lib.models.chat import TEMPLATES
from psd_lib.models.families import Family
from psd_lib.models.fields import check_fields
from psd_lib.models.files import read_json
from psd_lib.models.weights import quiet


@dataclass(frozen=True)
class Ids:
    """Special token ids of a checkpoint.

    `mask` stands for undecided positions, any of `stop` ends a text (end of text, end of turn),
    `pad` fills rows, `begin` may start a text.
    """

    mask: int
    stop: tuple[int, ...]
    pad: int
    begin: int | None


def tokenizer(folder: Path, family: Family) -> transformers.PreTrainedTokenizerBase:
    """Return the tokenizer of a checkpoint folder.

    `tokenizer.json` describes itself, `vocab.json` with `merges.txt` is Qwen2's. Where there is no
    chat template the family's is set. `AutoTokenizer` is not used, because it asks for remote code
    where the released class is not stock.

    Raises:
        UserError: the tokenizer files are missing or damaged.
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


def vocabulary_size(words: transformers.PreTrainedTokenizerBase) -> int:
    """Return the largest token id + 1, which is more than `len(words)` where ids are left out."""
    return 1 + max(words.get_vocab().values())


def ids(
    folder: Path,
    raw: dict[str, Any],
    family: Family,
    words: transformers.PreTrainedTokenizerBase,
    rows: int,
) -> Ids:
    """Return the special ids of a checkpoint whose embedding has `rows` rows.

    The config comes first, then the family's table if the vocabulary is the released one, then the
    tokenizer: released tokenizer files contradict each other on the mask's string, so its id is
    never looked up by string. Stop ids of config, generation_config.json and table are joined.

    Raises:
        UserError: an id is missing or does not fit the embedding.
    """
    known = family.special if family.special and rows in family.special.rows else None
    mask = _first(raw.get("mask_token_id"), known.mask if known else None, words.mask_token_id)
    if mask is None:
        raise UserError(
            f"{folder}: neither config.json nor the tokenizer names a mask token; set mask_token_id"
            " in config.json."
        )
    path = folder / "generation_config.json"
    more = check_fields(read_json(path), path.name) if path.is_file() else {}
    named = [_listed(fields.get("eos_token_id")) for fields in (raw, more)]
    stop = list(dict.fromkeys([*named[0], *named[1], *(known.stop if known else ())]))
    stop = stop or _listed(words.eos_token_id)
    if not stop:
        raise UserError(
            f"{folder}: neither config.json nor the tokenizer names an end-of-sequence token; set"
            " eos_token_id in config.json."
        )
    for name, value in (("mask_token_id", mask), *(("eos_token_id", value) for value in stop)):
        if value >= rows:
            raise UserError(
                f"{folder}: {name} {value} has no row in the embedding, which has {rows} rows."
            )
    if mask in stop:
        raise UserError(
            f"{folder}: token {mask} is both mask and end of sequence; they must differ."
        )
    if vocabulary_size(words) > rows:
        raise UserError(
            f"{folder}: the tokenizer has token ids up to {vocabulary_size(words) - 1}, but the"
            f" embedding has only {rows} rows; take both from one checkpoint."
        )
    pad = _first(raw.get("pad_token_id"), known.pad if known else None, words.pad_token_id)
    if pad is None or pad < 0 or pad == mask:  # attention would take masks for undecided positions
        pad = stop[0]
    return Ids(mask, tuple(stop), pad, known.begin if known else words.bos_token_id)


def answer_text(
    words: transformers.PreTrainedTokenizerBase, prompt: list[int], answer: list[int]
) -> str:
    """Return what decoding prompt and answer together adds to decoding the prompt.

    Many tokenizers drop a space at the beginning of what they decode, so that an answer decoded
    alone would lose it. Where the prompt ends within a character, the whole character belongs to
    the answer.
    """
    before, whole = (str(words.decode(tokens)) for tokens in (prompt, [*prompt, *answer]))
    pairs = enumerate(zip(before, whole, strict=False))
    first = next((at for at, (old, new) in pairs if old != new), len(before))
    return whole[first:]


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _listed(value: int | list[int] | None) -> list[int]:
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
