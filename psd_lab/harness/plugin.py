"""The class that lm-evaluation-harness knows as `psd`.

Importing this module needs the harness and registers the class.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.model import LM, CacheHook
from lm_eval.api.registry import register_model

import psd_lib
from psd_lab.harness.answers import Answers, Request, has_repeats
from psd_lab.runs.config import digest
from psd_lib.errors import UserError

TRACES = "PSD_TRACES"
OWNER = "psd settings"
HARNESS_DEVICE = "cuda:0"


@register_model("psd")
class PSD(LM):
    """A checkpoint with one of the decoders of `psd decoders`.

    `options` are the decoder's, for example threshold=0.9.
    """

    def __init__(
        self,
        pretrained: str = "mini-sdar",
        decoder: str = "psd",
        revision: str | None = None,
        dtype: str = "float32",
        device: str | None = None,
        batch_size: int | str = 16,
        max_batch_size: int | None = None,
        add_bos_token: bool = False,
        traces: str | None = None,
        **options: Any,
    ):
        super().__init__()
        size = 16 if str(batch_size).startswith("auto") else _whole("batch_size", batch_size)
        if device == HARNESS_DEVICE and not torch.cuda.is_available():
            device = None  # the harness passes this one on when no device was asked for
        model = psd_lib.load(pretrained, revision=revision, dtype=dtype, device=device)
        path = traces or os.environ.get(TRACES)
        self.answers = Answers(
            model,
            decoder,
            options,
            min(size, max_batch_size or size),
            Path(path) if path else None,
            add_bos_token,
        )

    def generate_until(self, requests: list[Request], **_: Any) -> list[str]:
        """Decode requests.

        Each completion goes to the harness's cache at once, so that a stopped run resumes.

        Raises:
            UserError: The cache would give every repeat of a sampled request the same completion.
        """
        sampled = [
            request
            for request in requests
            if not request.args[1].get("do_sample")
            and self.answers.config(request.args[1]).temperature
        ]
        if self.cache_hook.dbdict is not None and has_repeats(sampled):
            raise UserError(
                "the harness's cache would give all repeats of a request the same sample: add"
                " do_sample=true to --gen_kwargs, or leave out --use_cache."
            )
        return self.answers.answer(
            requests,
            lambda request, text: self.cache_hook.add_partial("generate_until", request.args, text),
        )

    def loglikelihood(self, requests: list[Request], **_: Any) -> list[tuple[float, bool]]:
        """Refuse: see the error."""
        raise _no_likelihood()

    def loglikelihood_rolling(self, requests: list[Request], **_: Any) -> list[float]:
        """Refuse: see the error."""
        raise _no_likelihood()

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """Use a cache that belongs to this model and decoder.

        The harness names its entries by the request alone.

        Raises:
            UserError: Another model or decoder has filled the cache.
        """
        super().set_cache_hook(cache_hook)
        mine, entries = digest(self.answers.settings), cache_hook.dbdict
        if entries is not None and entries.setdefault(OWNER, mine) != mine:
            raise UserError(
                "this request cache was filled with another model or decoder: give --use_cache"
                " another path for each setting."
            )

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Write a dialogue as a prompt, with the checkpoint's tokenizer."""
        return self.answers.model.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )

    @property
    def tokenizer_name(self) -> str:
        """Name of the tokenizer in the harness's caches."""
        return f"{self.answers.model.name}-{self.answers.model.fingerprint}"

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Return the tokenizer's own template where one is asked for."""
        return (self.answers.model.tokenizer.chat_template or "") if chat_template else ""


def _whole(name: str, value: int | str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UserError(f"{name} must be a whole number or auto, not {value!r}.") from None


def _no_likelihood() -> UserError:
    return UserError(
        "psd only generates, because diffusion models have no exact likelihood here: choose tasks"
        " of type generate_until, e.g. gsm8k."
    )
