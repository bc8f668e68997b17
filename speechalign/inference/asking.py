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
from speechalign.models.decode import Decoding, Generated, generate, room
from speechalign.models.encoder import Frames
from speechalign.models.speech_llm import SpeechLLM

Wanted = Literal["transcript", "translation"]
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0)  # of further answers, where the first cannot be right
TOKENS = 16, 25  # that a text may have, and more for each second of speech
NOTHING = -100  # label where nothing is to be predicted


class Question(NamedTuple):
    """What is asked about a piece of speech."""

    task: Task
    wanted: Wanted
    target: str  # code of the language of a translation


class Told(NamedTuple):
    """What the LLM wrote, and how that was found."""

    said: Generated
    temperature: float


class Reply(NamedTuple):
    """What the model says about a piece of speech."""

    text: str  # that was wanted
    transcript: str | None  # that came with a translation
    probability: float  # geometric mean over the tokens of the whole answer
    doubtful: bool
    temperature: float  # at which it was found


def ask(
    model: SpeechLLM,
    prompts: PromptTemplates,
    decoding: Decoding,
    frames: Frames,
    sources: Sequence[str],
    question: Question,
    most: int | None = None,
) -> list[Reply]:
    """Ask about U pieces of speech.

    An answer is at most as long as its speech has time for, or as `most` and the LLM's context
    allow. One that goes round in circles, or has no end in that time, is drawn anew by sampling.
    One that was cut before is not, for another would be cut as well, but it is doubtful.

    Args:
        model: In eval mode.
        prompts: The templates it was trained with.
        decoding: How to search for an answer, but for its length.
        frames: Compensated frames of the pieces.
        sources: Code of the language of each.
        question: What is asked about all of them.
        most: Tokens of an answer at most.
    """
    asked = [prompts.prompt(question.task, source, question.target) for source in sources]
    spoken = longest_answers(frames, question.task)
    bounds = [bound for bound in (most, room(model, frames, asked)) if bound is not None]
    limits = spoken.clamp(max=min(bounds)) if bounds else spoken
    told = [
        Told(one, decoding.temperature) for one in generate(model, frames, asked, decoding, limits)
    ]
    cut = (limits < spoken).tolist()

    def fails(row: int, said: Generated) -> bool:
        return repeats(prompts, question.task, said.text) or not (said.ended or cut[row])

    for row in [row for row, one in enumerate(told) if fails(row, one.said)]:
        alone = Frames(frames.hidden[row : row + 1], frames.lengths[row : row + 1])
        for number, temperature in enumerate(TEMPERATURES):
            (other,) = sampled(
                model, alone, asked[row], replace(decoding, temperature=temperature),
                limits[row : row + 1], seed=number,
            )  # fmt: skip
            if not fails(row, other):
                told[row] = Told(other, temperature)
                break
    likely = probabilities(model, frames, asked, [one.said.text for one in told])
    return [
        reply(prompts, question, one, probability)
        for one, probability in zip(told, likely, strict=True)
    ]


def reply(prompts: PromptTemplates, question: Question, told: Told, probability: float) -> Reply:
    """Take what was wanted out of a whole answer."""
    said = told.said
    transcript, translation = prompts.split(question.task, said.text)
    text = transcript if question.wanted == "transcript" else translation
    beside = transcript if question.wanted == "translation" else None
    doubtful = not said.ended or text is None or repeats(prompts, question.task, said.text)
    return Reply(text or "", beside, probability, doubtful, told.temperature)


def repeats(prompts: PromptTemplates, task: Task, answer: str) -> bool:
    """Whether a text in an answer goes round in circles; a translation may equal its transcript."""
    return any(is_repetitive(text) for text in prompts.split(task, answer) if text)


def longest_answers(frames: Frames, task: Task) -> Int[Tensor, " U"]:
    """Tell how many tokens each answer may have: more than anybody says in that time."""
    least, per_second = TOKENS
    seconds = frames.lengths * FRAME / SAMPLE_RATE
    texts = 2 if task == "srt" else 1
    return texts * (least + (per_second * seconds).long())


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
