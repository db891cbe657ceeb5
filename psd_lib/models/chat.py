"""Chat templates of the families, for checkpoints that ship none: the checkpoint's own wins. Base
models are prompted with plain text instead.
"""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from psd_lib.errors import UserError

LLADA = (
    "<|startoftext|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{"
    " m.content }}<|eot_id|>"
    "{% endfor %}<|start_header_id|>assistant<|end_header_id|>{{ '\\n\\n' }}"  # a template's last newline is dropped
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


def render(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], **options) -> str:
    """The prompt text of a conversation, up to where the assistant begins to write.

    `options` are variables of the template, e.g. `enable_thinking=False` (SDAR). Raises UserError
    for malformed messages and where there is no template.
    """
    if tokenizer.chat_template is None:
        raise UserError(
            "neither the checkpoint nor its family has a chat template; pass plain text to"
            " generate."
        )
    for message in messages:
        if (
            not isinstance(message, dict)
            or message.get("role") not in ROLES
            or not isinstance(message.get("content"), str)
        ):
            raise UserError(
                f"a message must be {{'role': one of {', '.join(ROLES)}, 'content': text}}; got"
                f" {message!r}."
            )
    if not messages:
        raise UserError("no messages: give at least one.")
    return tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, **options
    )
