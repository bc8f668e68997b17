"""A model is asked about pieces of speech, and asked again where its answer cannot be right."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from speechalign.audio.features import FRAME
from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.prompts import PromptTemplates, Task
from speechalign.inference.repetition import is_repetitive
from speechalign.models.decode import Decoding, Generated, generate
from speechalign.models.encoder import Frames
from speechalign.models.speech_llm import SpeechLLM

Wanted = Literal["transcript", "translation"]
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)  # of further answers, where the first cannot be right
TOKENS = 16, 25  # that an answer may have, and more for each second of speech
NOTHING = -100  # label where nothing is to be predicted


class Question(NamedTuple):
    """What is asked about a piece of speech."""

    task: Task
    wanted: Wanted
    target: str  # code of the language of a translation


class Reply(NamedTuple):
    """What the model says about a piece of speech."""

    text: str  # that was wanted
    transcript: str | None  # that came with a translation
    probability: float  # geometric mean over the tokens of the whole answer
    doubtful: bool


def ask(
    model: SpeechLLM,
    prompts: PromptTemplates,
    decoding: Decoding,
    frames: Frames,
    sources: Sequence[str],
    question: Question,
) -> list[Reply]:
    """Ask about U pieces of speech.

    Args:
        model: In eval mode.
        prompts: The templates it was trained with.
        decoding: How to search for an answer.
        frames: Compensated frames of the pieces.
        sources: Code of the language of each.
        question: What is asked about all of them.
    """
    asked = [prompts.prompt(question.task, source, question.target) for source in sources]
    limits = longest_answers(frames)
    said = generate(model, frames, asked, decoding, limits)
    for row in [row for row, one in enumerate(said) if is_wrong(one)]:
        alone = Frames(frames.hidden[row : row + 1], frames.lengths[row : row + 1])
        for number, temperature in enumerate(TEMPERATURES):
            (other,) = sampled(
                model, alone, asked[row], replace(decoding, beams=1, temperature=temperature),
                limits[row : row + 1], seed=number,
            )  # fmt: skip
            if not is_wrong(other):
                said[row] = other
                break
    likely = probabilities(model, frames, asked, [one.text for one in said])
    return [
        reply(prompts, question, one, probability)
        for one, probability in zip(said, likely, strict=True)
    ]


def reply(
    prompts: PromptTemplates, question: Question, said: Generated, probability: float
) -> Reply:
    """Take what was wanted out of a whole answer."""
    transcript, translation = prompts.split(question.task, said.text)
    text = transcript if question.wanted == "transcript" else translation
    beside = transcript if question.wanted == "translation" else None
    return Reply(text or "", beside, probability, is_wrong(said) or text is None)


def is_wrong(said: Generated) -> bool:
    """Whether an answer goes round in circles, or did not come to its end."""
    return not said.ended or is_repetitive(said.text)


def longest_answers(frames: Frames) -> Int[Tensor, " U"]:
    """Tell how many tokens each answer may have: more than anybody says in that time."""
    least, per_second = TOKENS
    seconds = frames.lengths * FRAME / SAMPLE_RATE
    return least + (per_second * seconds).long()


def sampled(
    model: SpeechLLM,
    frames: Frames,
    prompt: str,
    decoding: Decoding,
    limit: Int[Tensor, " 1"],
    seed: int,
) -> list[Generated]:
    """Draw an answer, the same whenever it is asked for, and leave other draws as they are."""
    device = frames.hidden.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        return generate(model, frames, [prompt], decoding, limit)


@torch.inference_mode()
def probabilities(
    model: SpeechLLM, frames: Frames, prompts: Sequence[str], texts: Sequence[str]
) -> list[float]:
    """Read answers again: the geometric mean of the probabilities of their tokens and end."""
    llm, speech = model.llm, model.listen(frames)
    device = speech.embeddings.device

    def encoded(text: str) -> list[int]:
        return model.tokenizer.encode(text, add_special_tokens=False)

    pairs = [
        (encoded(prompt), [*encoded(text), llm.end])
        for prompt, text in zip(prompts, texts, strict=True)
    ]
    tokens = [torch.tensor([*prompt, *answer]) for prompt, answer in pairs]
    labels = [torch.tensor([NOTHING] * len(prompt) + answer) for prompt, answer in pairs]
    counts = torch.tensor([len(one) for one in tokens], device=device)
    padded = pad_sequence(tokens, batch_first=True, padding_value=llm.end).to(device)
    told = pad_sequence(labels, batch_first=True, padding_value=NOTHING).to(device)
    valid = torch.arange(padded.shape[1], device=device) < counts[:, None]
    logits, expected = llm(speech.embeddings, speech.tokens.mask, padded, valid, told)
    return geometric_means(logits, expected).tolist()


def geometric_means(
    logits: Float[Tensor, "U K V"], labels: Int[Tensor, "U K"]
) -> Float[Tensor, " U"]:
    """Average the probabilities of labelled tokens, row by row."""
    labelled = labels >= 0
    picked = logits.gather(2, labels.clamp(min=0)[..., None])[..., 0].float()
    logs = picked - torch.stack([row.float().logsumexp(dim=-1) for row in logits])  # row by row:
    # a vocabulary of 150,000 in float32 would take the memory of the whole batch twice
    return ((logs * labelled).sum(dim=1) / labelled.sum(dim=1)).exp()
