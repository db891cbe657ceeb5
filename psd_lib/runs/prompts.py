"""What a model is shown of an example: the text, or token ids where the protocol asks for a chat template or a BOS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.models import Model
    from psd_lib.tasks import Example, Task


def prompt_of(model: Model, task: Task, example: Example) -> str | list[int]:
    """Decides how `model` reads an example under the task's protocol.

    Text as it is, unless the protocol uses the chat template of this model (then its messages as a dialogue, followed by
    what opens the answer) or a BOS for its family. Raises UserError when the tokenizer has none.
    """
    protocol = getattr(task, "protocol", None)
    if protocol is None:
        return example.prompt
    tokenizer = model.tokenizer
    if protocol.uses_chat(model.name):
        if not tokenizer.chat_template:
            raise UserError(f"profile {protocol.profile} uses a chat template and the tokenizer of {model.name} has none: use a profile of base prompts, e.g. psd-512.")
        text = tokenizer.apply_chat_template(example.meta["messages"], tokenize=False, add_generation_prompt=True)
        return text + example.meta["prefill"]
    if model.family.model_type not in protocol.bos:
        return example.prompt
    if tokenizer.bos_token_id is None:
        raise UserError(f"profile {protocol.profile} begins prompts of {model.family.model_type} with a BOS token and the tokenizer of {model.name} has none.")
    return [tokenizer.bos_token_id, *tokenizer(example.prompt, add_special_tokens=False)["input_ids"]]
