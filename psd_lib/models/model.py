"""A loaded checkpoint: the network, its tokenizer, and the facts that decoding needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import transformers

from psd_lib.errors import UserError
from psd_lib.models import chat
from psd_lib.models.denoiser import NetworkDenoiser
from psd_lib.models.families import Family
from psd_lib.models.tokenizers import answer_text


@dataclass(frozen=True)
class Model:
    """A loaded checkpoint.

    Attributes:
        block_length: the checkpoint's own.
        max_positions: the largest number of tokens that prompt and answer may have together.
        fingerprint: identifies weights and config in rows.
        begin_id: the token that some models expect first (openPangu always, Dream's base model in
            its authors' evaluation); None where there is none.
        pad_id: fills rows; never the mask.
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

    def chat(self, messages: Sequence[Mapping[str, str]], **options: Any) -> str:
        """Return the prompt text of a conversation, see `psd_lib.models.chat.render`."""
        return chat.render(self.tokenizer, messages, **options)

    def encode(self, text: str, *, bos: bool = False) -> list[int]:
        """Return the token ids of a prompt text as it stands.

        Prompts of some families begin with a token of their own, which is put in front of them;
        `bos` puts the tokenizer's BOS there. Neither is added to a text that has it already, as
        one from a chat template may.

        Raises:
            UserError: the text is not valid Unicode, or there is no BOS to put in front.
        """
        try:
            ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        except (TypeError, UnicodeEncodeError):  # lone surrogates, which the tokenizers refuse
            raise UserError(
                f"a prompt is not valid Unicode text: {text[:60]!r}; remove the lone surrogates."
            ) from None
        begin = self.begin_id if self.family.begins else None
        if bos:
            begin = self.tokenizer.bos_token_id
            if begin is None:
                raise UserError(f"the tokenizer of {self.name} has no BOS token.")
        return ids if begin is None or ids[:1] in ([], [begin]) else [begin, *ids]

    def decode(self, prompt: list[int], answer: list[int]) -> str:
        """Return the text of an answer: what its tokens add to the text of the prompt."""
        return answer_text(self.tokenizer, prompt, answer)
