"""Second models beside the target: an autoregressive judge, a draft model.

They must share the target's tokenizer.
"""

from __future__ import annotations

from typing import Any

from psd_lib.core.config import DecodeConfig
from psd_lib.errors import UserError
from psd_lib.models.loading import Model, load

EXAMPLES = {"judge": "mini-ar", "draft": "mini-sdar-draft"}


def attach(config: DecodeConfig, target: Model) -> DecodeConfig:
    """Return the config with its second models loaded and with the cache plan for the target.

    Raises:
        UserError: a second model is missing, of a kind that does not fit, or of another tokenizer.
    """
    found = {}
    for key, model in config.second_models().items():
        role = key.partition(".")[2]
        if model is None:
            example = f", such as {role}={EXAMPLES[role]!r}" if role in EXAMPLES else ""
            raise UserError(
                f"decoder {config.decoder!r} needs a {role} model: pass {role}=NAME{example}."
            )
        found[key] = companion(target, model, role)
    return config.with_second_models(found).resolved(target.denoiser)


def companion(target: Model, second: Any, role: str) -> Model:
    """Return the second model for `role` ("judge", "draft").

    A name is loaded onto the target's device and in its dtype.

    Raises:
        UserError: its tokenizer maps any token to another id than the target's: ids would not mean
            the same.
    """
    if isinstance(second, str):
        parameter = next(target.denoiser.network.parameters())
        dtype = str(parameter.dtype).removeprefix("torch.")
        second = load(second, dtype=dtype, device=str(parameter.device))
    if not isinstance(second, Model):
        raise UserError(f"{role} must be the name of a model or a loaded model, got {second!r}.")
    if second.tokenizer.get_vocab() != target.tokenizer.get_vocab():
        raise UserError(
            f"{role} {second.name!r} and {target.name!r} have different tokenizers, so their token "
            f"ids do not mean the same; use a {role} that was trained with the tokenizer of "
            f"{target.name!r}."
        )
    return second
