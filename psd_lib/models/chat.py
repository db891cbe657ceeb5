"""Chat templates of the families, for checkpoints that ship none.

The checkpoint's own wins. Base models are prompted with plain text instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from transformers import PreTrainedTokenizerBase

from psd_lib.errors import UserError

# a template's last newline is dropped, so LLaDA's ends in an expression
LLADA = (
    "<|startoftext|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{"
    " m.content }}<|eot_id|>"
    "{% endfor %}<|start_header_id|>assistant<|end_header_id|>{{ '\\n\\n' }}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor"
    " %}<|im_start|>assistant\n{% if enable_thinking is defined and enable_thinking is false"
    " %}<think>\n\n</think>\n\n{% endif %}"
)
PANGU = (
    "{% set roles = {'system': '系统', 'user': '用户', 'assistant': '助手', 'tool': '工具',"
    " 'function': '方法'} %}{% if messages[0].role != 'system' %}[unused9]系统：[unused10]{% endif"
    " %}{% for m in messages %}[unused9]{{ roles[m.role] }}：{{ m.content }}[unused10]{% endfor"
    " %}[unused9]助手："
)
# LLaDA's from several scripts that agree, SDAR's and Fast-dLLM's as Qwen's, Dream's inferred from
# its use of Qwen's markers
TEMPLATES = {
    "llada": LLADA,
    "Dream": CHATML,
    "sdar": CHATML,
    "Fast_dLLM_Qwen": CHATML,
    "PanguEmbedded": PANGU,
}
ROLES = ("system", "user", "assistant", "tool", "function")


RESERVED = ("tokenize", "add_generation_prompt", "return_dict", "return_tensors")


def is_message(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Say whether a value looks like a chat message: a mapping with a role."""
    return isinstance(value, Mapping) and "role" in value


def render(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, str]], **options: Any
) -> str:
    """Return the prompt text of a conversation, up to where the assistant begins to write.

    `options` are variables of the template, e.g. `enable_thinking=False` (SDAR).

    Raises:
        UserError: messages are malformed, the template refuses them, or there is no template.
    """
    if tokenizer.chat_template is None:
        raise UserError(
            "neither the checkpoint nor its family has a chat template; pass plain text to"
            " generate."
        )
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise UserError(f"messages must be a list of them, got {messages!r}.")
    for message in messages:
        if (
            not is_message(message)
            or message["role"] not in ROLES
            or not isinstance(message.get("content"), str)
        ):
            raise UserError(
                f"a message must be {{'role': one of {', '.join(ROLES)}, 'content': text}}; got"
                f" {message!r}."
            )
    if not messages:
        raise UserError("no messages: give at least one.")
    taken = [name for name in RESERVED if name in options]
    if taken:
        raise UserError(f"{', '.join(taken)} cannot be set: a prompt is always text to go on with.")
    try:
        text = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=False,
            add_generation_prompt=True,
            **options,
        )
    except Exception as error:  # a template can raise anything, with a reason for the reader
        raise UserError(f"the chat template refuses these messages: {error}") from error
    return str(text)
