"""Decoding: what the LLM answers to speech and a prompt, the same alone and in any batch."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
)
from typing_extensions import override

from speechalign.errors import UserError
from speechalign.models.encoder import Frames
from speechalign.models.speech_llm import SpeechLLM


@dataclass(frozen=True)
class Decoding:
    """How to search for the answer; the defaults are those of the paper's development code.

    Attributes:
        beams: Width of the beam; 1 is greedy. No use where is sampled.
        max_new_tokens: Longest answer where nothing else limits it, as in an evaluation. Whoever
            translates recordings limits answers by their duration.
        no_repeat_ngram: Longest n-gram that may not occur twice, 0 for no limit.
        temperature: Of sampling each token from all there are (no beams, top-k or top-p); 0 is
            search for the likeliest answer.
    """

    beams: int = 4
    max_new_tokens: int = 150
    no_repeat_ngram: int = 4
    temperature: float = 0.0

    def __post_init__(self) -> None:
        least_of = {"beams": 1, "max_new_tokens": 1, "no_repeat_ngram": 0, "temperature": 0}
        for name, least in least_of.items():
            told = getattr(self, name)
            if told < least:
                raise UserError(f"With {name} {told} a model cannot decode: give {least} or more.")


class Generated(NamedTuple):
    """What the LLM wrote."""

    text: str  # without special tokens, stripped
    ended: bool  # by the LLM itself, not by the limit of tokens


@torch.inference_mode()
def generate(
    model: SpeechLLM,
    frames: Frames,
    prompts: list[str],
    decoding: Decoding,
    limits: Int[Tensor, " U"] | None = None,
) -> list[Generated]:
    """Answer one prompt for each utterance.

    Args:
        model: Its parts must be on one device, in eval mode.
        frames: Compensated frames, from `SpeechLLM.frames`.
        prompts: One for each utterance.
        decoding: How to search.
        limits: Tokens of each answer at most, in place of `max_new_tokens`.
    """
    llm, tokenizer = model.llm, model.tokenizer
    if limits is not None:  # one more, for all rows to end by `EndAt`, in any batch
        decoding = replace(decoding, max_new_tokens=int(limits.max()) + 1)
    speech = model.listen(frames)
    rows = [tokenizer.encode(p, add_special_tokens=False) for p in prompts]
    embeddings, mask = pack_left(
        speech.embeddings.to(llm.dtype),
        speech.tokens.mask,
        [llm.embed(torch.tensor(r, device=frames.lengths.device)[None])[0] for r in rows],
    )
    answers = llm.transformer.generate(
        inputs_embeds=embeddings,
        attention_mask=mask.long(),
        generation_config=generation_config(decoding, llm.end),
        logits_processor=constraints(decoding, llm.end, limits),
    )
    texts = tokenizer.batch_decode(answers, skip_special_tokens=True)
    ended = answers == llm.end
    stopped = ended.any(dim=1)
    if limits is not None:  # what ends where it must was not ended by the LLM
        stopped &= ended.long().argmax(dim=1) < limits.to(answers.device)
    return [Generated(text.strip(), end) for text, end in zip(texts, stopped.tolist(), strict=True)]


def generation_config(decoding: Decoding, end: int) -> GenerationConfig:
    """Write down how to search (`CausalLLM` forgets what its folder says about that)."""
    sampled = decoding.temperature > 0
    beams = 1 if sampled else decoding.beams
    from_all = {"temperature": decoding.temperature, "top_k": 0, "top_p": 1.0} if sampled else {}
    return GenerationConfig(
        num_beams=beams,
        do_sample=sampled,
        max_new_tokens=decoding.max_new_tokens,
        early_stopping=beams > 1,
        eos_token_id=end,
        pad_token_id=end,
        **from_all,
    )


@torch.inference_mode()
def room(model: SpeechLLM, frames: Frames, prompts: list[str]) -> int | None:
    """Count the tokens that the LLM's context has for answers in a batch; None: any number."""
    if model.llm.context is None:
        return None
    speech = model.listen(frames).embeddings.shape[1]
    read = max(len(model.tokenizer.encode(p, add_special_tokens=False)) for p in prompts)
    return max(1, model.llm.context - speech - read - 1)  # the end of the text is a token too


class EndAt(LogitsProcessor):
    """Ends each answer where its own limit is, whatever the others in its batch need.

    Args:
        end: The token that ends an answer.
        limits: Tokens of each answer at most.
    """

    def __init__(self, end: int, limits: Int[Tensor, " U"]) -> None:
        self.end, self.limits = end, limits

    @override
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        limits = self.limits.to(scores.device).repeat_interleave(len(scores) // len(self.limits))
        due = input_ids.shape[1] >= limits
        scores = scores.masked_fill(due[:, None], float("-inf"))
        scores[due, self.end] = 0.0
        return scores


def constraints(
    decoding: Decoding, end: int, limits: Int[Tensor, " U"] | None = None
) -> LogitsProcessorList:
    """Forbid repeated n-grams among the new tokens (there is no other text: speech is no token)."""
    n = decoding.no_repeat_ngram
    found = LogitsProcessorList([NoRepeatNGramLogitsProcessor(n)] if n else [])
    if limits is not None:
        found.append(EndAt(end, limits))
    return found


def pack_left(
    speech: Float[Tensor, "U Q E"],
    speech_mask: Bool[Tensor, "U Q"],
    prompts: list[Float[Tensor, "_ E"]],
) -> tuple[Float[Tensor, "U L E"], Bool[Tensor, "U L"]]:
    """Lay valid speech tokens and prompt side by side, padded on the left, for generation."""
    rows = [
        torch.cat([s[valid], prompt])
        for s, valid, prompt in zip(speech, speech_mask, prompts, strict=True)
    ]
    longest = max(len(row) for row in rows)
    packed = speech.new_zeros(len(rows), longest, speech.shape[2])
    mask = torch.zeros(len(rows), longest, dtype=torch.bool, device=speech.device)
    for i, row in enumerate(rows):
        packed[i, longest - len(row) :] = row
        mask[i, longest - len(row) :] = True
    return packed, mask
