"""What the micro LLM practises: endless questions in text, drawn from sentences that say the same.

A question is what the speech model will ask, with the source text where speech will be:
`{source text}{prompt}{answer}<eos>`, prompts as in `speechalign.data.prompts`.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from recipes.micro.tokenizer import end_of
from speechalign.data.batch import IGNORE
from speechalign.data.prompts import PromptTemplates, Task

INTO_ENGLISH = 0.7  # share of translations whose target is English
TASKS: dict[Task, float] = {"asr": 0.2, "st": 0.55, "srt": 0.25}
POOL = 32  # batches drawn at once and sorted by length, so that little is padded

Texts = Mapping[str, Sequence[str]]  # language → sentences; the same row says the same thing


class Question(NamedTuple):
    """One sequence to learn, in tokens."""

    source: list[int]
    prompt: list[int]
    answer: list[int]  # with the end token


class TextBatch(NamedTuple):
    """B sequences of at most L tokens, padded on the right."""

    tokens: Int[Tensor, "B L"]
    answers: Int[Tensor, "B L"]  # labels of answers, IGNORE elsewhere
    sources: Int[Tensor, "B L"]  # labels of source texts, IGNORE elsewhere


class Drill:
    """Endless batches of questions; the batch of a step is a function of (seed, step)."""

    def __init__(
        self, texts: Texts, tokenizer: PreTrainedTokenizerBase, seed: int, batch: int = 96
    ) -> None:
        self.texts, self.seed, self.batch = texts, seed, batch
        self.languages = sorted(texts)
        self.end = end_of(tokenizer)
        self.encode = lru_cache(maxsize=None)(lambda text: tokenizer(text)["input_ids"])
        self.pool = lru_cache(maxsize=1)(self.draw_pool)

    def __call__(self, step: int) -> TextBatch:
        """Make the batch of a step."""
        return collate(self.pool(step // POOL)[step % POOL], self.end)

    def draw_pool(self, number: int) -> list[list[Question]]:
        """Draw the questions of POOL batches, each batch of about one length."""
        generator = random.Random(f"{self.seed}/{number}")
        drawn = [self.draw(generator) for _ in range(POOL * self.batch)]
        drawn.sort(key=lambda question: sum(map(len, question)))
        batches = [drawn[i : i + self.batch] for i in range(0, len(drawn), self.batch)]
        generator.shuffle(batches)
        return batches

    def draw(self, generator: random.Random) -> Question:
        """Draw a sentence, a task and its languages."""
        row = generator.randrange(len(self.texts[self.languages[0]]))
        task = generator.choices(list(TASKS), list(TASKS.values()))[0]
        source, target = self.draw_pair(generator, task)
        return self.ask(task, source, target, row)

    def draw_pair(self, generator: random.Random, task: Task) -> tuple[str, str]:
        """Draw a source and another language as target, which is English most of the time."""
        if task == "asr":
            source = generator.choice(self.languages)
            return source, source
        into_english = "eng" in self.languages and generator.random() < INTO_ENGLISH
        target = "eng" if into_english else generator.choice(self.languages)
        return generator.choice([code for code in self.languages if code != target]), target

    def ask(self, task: Task, source: str, target: str, row: int) -> Question:
        """Write one question and its answer."""
        prompts = PromptTemplates()
        transcript, translation = self.texts[source][row], self.texts[target][row]
        return Question(
            self.encode(transcript),
            self.encode(prompts.prompt(task, source, target)),
            [*self.encode(prompts.answer(task, transcript, translation)), self.end],
        )


def collate(questions: Sequence[Question], padding: int) -> TextBatch:
    """Pad questions on the right and mark what is to be predicted."""

    def pad(rows: Iterable[list[int]], value: int) -> Int[Tensor, "B L"]:
        return pad_sequence([torch.tensor(row) for row in rows], True, value)

    return TextBatch(
        pad((q.source + q.prompt + q.answer for q in questions), padding),
        pad(([IGNORE] * len(q.source + q.prompt) + q.answer for q in questions), IGNORE),
        pad((q.source + [IGNORE] * len(q.prompt + q.answer) for q in questions), IGNORE),
    )
