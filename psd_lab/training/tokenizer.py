"""The embedded models' tokenizer: byte-level BPE that splits digits, operators, indentation."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

EOS = "<|endoftext|>"
MASK = "<|MASK|>"

# Order matters: a newline with its indentation, a word with its space, ONE digit with its space,
# operators and quotes of several characters, any other sign alone, the remaining white space.
PIECES = r'\n *| ?[A-Za-z_]+| ?\d|"""| ?(?:==|!=|<=|>=|//|\*\*|->)| ?[^\sA-Za-z_\d]|\s'


def train_tokenizer(texts: Iterable[str], vocab: int = 1024) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE of at most `vocab` tokens; the same texts give the same tokenizer.

    Ids 0 and 1 are the end-of-text token (also padding) and the mask token. Any text survives
    encoding and decoding unchanged, because every byte is in the alphabet.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    specials = [AddedToken(text, special=True, normalized=False) for text in (EOS, MASK)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=specials,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=EOS,
        mask_token=MASK,
        clean_up_tokenization_spaces=False,
    )
