"""The tokenizer of the micro world: Qwen2's byte-level BPE, small, and one token for each tag.

Any text in Unicode's normal form C comes back from its tokens as it was (transformers gives every
Qwen2 folder that normalisation).
"""

import re
from collections.abc import Iterable

from tokenizers import AddedToken
from transformers import PreTrainedTokenizerBase, Qwen2Tokenizer

from speechalign.data.prompts import PromptTemplates

END = "<|endoftext|>"  # ends an answer, and fills rows of unequal length


def tags(languages: Iterable[str]) -> list[str]:
    """List the tags of prompts: `<|deu|>`, ..., then the tasks `<|asr|>`, `<|st|>`, `<|srt|>`."""
    prompts = PromptTemplates()
    tasks = re.findall(r"<\|\w+\|>", prompts.asr + prompts.st + prompts.srt + prompts.tag)
    return list(dict.fromkeys([*(f"<|{code}|>" for code in languages), *tasks]))


def train_tokenizer(
    texts: Iterable[str], languages: Iterable[str], size: int
) -> PreTrainedTokenizerBase:
    """Learn the most frequent byte pairs of `texts` until the vocabulary has `size` tokens.

    Tags are ordinary added tokens, not special ones, so that the tag inside an answer is still
    there after `decode(..., skip_special_tokens=True)`.
    """
    added = [AddedToken(tag, normalized=False, special=False) for tag in tags(languages)]
    learnt = Qwen2Tokenizer(model_max_length=512).train_new_from_iterator(
        texts, vocab_size=size - len(added), show_progress=False
    )
    learnt.add_tokens(added)
    return learnt


def end_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the number of the token that ends and fills."""
    return tokenizer.get_vocab()[END]
