"""When each word of an answer is spoken: followed from the LLM's tokens back to the sound.

A token of the answer looks at speech tokens, and those look at frames of the encoder. The product
of both attentions is a map from token to time. What all tokens look at alike is taken away; of the
LLM's layers that one is used in which the times of the tokens rise most steadily, and the rest of
their disorder is smoothed by isotonic regression.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import isotonic_regression
from torch import Tensor

from speechalign.audio.features import FRAME
from speechalign.audio.io import SAMPLE_RATE
from speechalign.inference.answers import Word
from speechalign.models.encoder import Frames
from speechalign.models.speech_llm import SpeechLLM


@torch.inference_mode()
def word_times(
    model: SpeechLLM,
    frames: Frames,
    prompt: str,
    text: str,
    spaced: bool,
    span: tuple[float, float],
) -> list[Word]:
    """Follow the words of one answer back to the sound.

    Args:
        model: In eval mode.
        frames: Compensated frames of one piece of speech.
        prompt: What was asked.
        text: What was answered.
        spaced: Whether words are parted by spaces; if not, each character is one.
        span: From where to where somebody speaks in the piece, in seconds.

    Returns:
        The words in their order, without a gap or overlap: the first begins and the last ends with
        the speech.
    """
    words = text.split() if spaced else [one for one in text if not one.isspace()]
    if not words:
        return []
    tokenizer = model.tokenizer
    asked, answer = (tokenizer.encode(one, add_special_tokens=False) for one in (prompt, text))
    speech = model.listen(frames)
    heard = speech.tokens.mask[0]
    looks = model.llm.attention(speech.embeddings[:, heard], asked, answer)
    sources = model.qformer.attention(frames)[-1][0, heard].to(looks.device)
    times = steadiest(centres(looks, sources))
    owners = owner_of_tokens(answer, words, lambda tokens: str(tokenizer.decode(tokens)))
    of_words = np.array([times[places].mean() for places in tokens_of(owners, len(words))])
    bounds = borders(of_words, span)
    return [
        Word(word, start, end)
        for word, start, end in zip(words, bounds[:-1], bounds[1:], strict=True)
    ]


def centres(
    looks: Float[Tensor, "layers K Q"], sources: Float[Tensor, "Q T"]
) -> Float[np.ndarray, "layers K"]:
    """Seconds that each answered token looks at, by layer of the LLM."""
    shares = looks / looks.sum(dim=2, keepdim=True).clamp(min=1e-9)
    weights = shares @ sources
    own = (weights - weights.mean(dim=1, keepdim=True)).clamp(min=0)  # beyond what all look at
    seconds = (torch.arange(sources.shape[1], device=own.device) + 0.5) * FRAME / SAMPLE_RATE
    return ((own @ seconds) / own.sum(dim=2).clamp(min=1e-9)).cpu().double().numpy()


def steadiest(times: Float[np.ndarray, "layers K"]) -> Float[np.ndarray, " K"]:
    """Choose the layer in which times rise most steadily, and let them only rise."""
    rising = np.stack([isotonic_regression(one).x for one in times])
    disorder = np.abs(rising - times).mean(axis=1) / np.maximum(np.ptp(times, axis=1), 1e-9)
    return rising[int(np.argmin(disorder))]


def owner_of_tokens(
    answer: list[int], words: list[str], decode: Callable[[list[int]], str]
) -> np.ndarray:
    """Tell which word each token is of: the one that its last character belongs to."""
    lengths = [len("".join(decode(answer[: count + 1]).split())) for count in range(len(answer))]
    ends = np.cumsum([len(word) for word in words])
    return np.minimum(np.searchsorted(ends, np.maximum(lengths, 1)), len(words) - 1)


def tokens_of(owners: np.ndarray, count: int) -> list[np.ndarray]:
    """List the tokens of each word; one without a token of its own shares the last one before."""
    return [
        np.flatnonzero(owners == word)
        if (owners == word).any()
        else np.flatnonzero(owners <= word)[-1:]
        for word in range(count)
    ]


def borders(times: Float[np.ndarray, " K"], span: tuple[float, float]) -> list[float]:
    """Part a span among words, midway between their times."""
    start, end = span
    inner = np.clip((times[1:] + times[:-1]) / 2, start, end)
    return [start, *np.maximum.accumulate(inner).tolist(), end]
