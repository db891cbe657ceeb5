"""Second models beside the target: an AR verifier, a draft model.

They must share the target's tokenizer.
"""

from __future__ import annotations

from psd_lib.errors import UserError
from psd_lib.models import Model


def companion(target: Model, second: str | Model, role: str) -> Model:
    """Return the second model for a role ("judge", "draft").

    Where `second` is a name it is loaded onto the target's device, in the target's dtype.

    Raises:
        UserError: its tokenizer maps some token to another id than the target's, so that ids would
            not mean the same.
    """
    if isinstance(second, str):
        import psd_lib

        parameter = next(target.denoiser.network.parameters())
        second = psd_lib.load(
            second, dtype=str(parameter.dtype).removeprefix("torch."), device=str(parameter.device)
        )
    if not isinstance(second, Model):
        raise UserError(f"{role} must be the name of a model or a loaded model, got {second!r}.")
    if second.tokenizer.get_vocab() != target.tokenizer.get_vocab():
        raise UserError(
            f"{role} {second.name!r} and {target.name!r} have different tokenizers, so their token"
            f" ids do not mean the same; use a {role} that was trained with the tokenizer of"
            f" {target.name!r}."
        )
    return second
