"""Batches of speech to pretrain the micro encoder on: heard, spelt, written down, translated."""

import random
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad as pad_right
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from recipes.micro.recordings import Spoken
from recipes.micro.tokenizer import end_of
from speechalign.audio.features import FRAME, RANGE, LogMel
from speechalign.data.batch import IGNORE
from speechalign.data.prompts import PromptTemplates, Task

MARGIN = 640  # samples of silence behind each utterance, in which its last window fades


class Lesson(NamedTuple):
    """U recordings; transcripts and translations have a row for each."""

    features: Float[Tensor, "U mels S"]  # log-mel; behind an utterance its silence goes on
    lengths: Int[Tensor, " U"]  # frames of the encoder
    letters: Int[Tensor, "U C"]  # 0 is padding, and the blank of CTC
    tokens: Int[Tensor, "2 U L"]  # [0] transcripts, [1] translations; prompt, text, end
    labels: Int[Tensor, "2 U L"]  # what follows each token, IGNORE before the prompt's last


class Lessons:
    """All recordings, in batches of like length; the batch of a step depends on (seed, step)."""

    def __init__(
        self,
        recordings: Sequence[Spoken],
        tokenizer: PreTrainedTokenizerBase,
        alphabet: str,
        seed: int,
        batch: int = 32,
    ) -> None:
        self.recordings, self.seed, self.batch = recordings, seed, batch
        self.tokenizer, self.alphabet = tokenizer, alphabet
        self.log_mel = LogMel()
        self.features = lru_cache(maxsize=None)(self.extract)  # 35 kB a recording
        self.end = end_of(tokenizer)
        self.order = lru_cache(maxsize=1)(self.draw_order)
        self.per_epoch = len(recordings) // batch

    def __call__(self, step: int) -> Lesson:
        """Make the batch of a step."""
        epoch, place = divmod(step, self.per_epoch)
        return self.make(self.order(epoch)[place])

    def draw_order(self, epoch: int) -> list[list[int]]:
        """Cut one epoch into batches of like length (up to 0.2 s of jitter), shuffled."""
        generator = random.Random(f"{self.seed}/{epoch}")
        rows = list(range(len(self.recordings)))
        generator.shuffle(rows)
        rows = rows[: self.per_epoch * self.batch]
        rows.sort(key=lambda row: len(self.recordings[row].waveform) + generator.random() * 3200)
        batches = [rows[i : i + self.batch] for i in range(0, len(rows), self.batch)]
        generator.shuffle(batches)
        return batches

    def make(self, rows: Sequence[int]) -> Lesson:
        """Pad recordings to the longest, and write what is to be said about them."""
        recordings = [self.recordings[row] for row in rows]
        features = [self.features(row).float() for row in rows]
        width = max(one.shape[1] for one in features)
        silence = [float(one.max()) - RANGE / 4 for one in features]
        heard = [
            pad_right(one, (0, width - one.shape[1]), value=floor)
            for one, floor in zip(features, silence, strict=True)
        ]
        lengths = torch.tensor([-(-len(one.waveform) // FRAME) for one in recordings])
        letters = [[self.alphabet.find(c) + 1 for c in spoken.spelling] for spoken in recordings]
        asked = [self.ask("asr", s.language, s.text) for s in recordings]
        asked += [
            self.ask("asr" if s.language == "eng" else "st", s.language, s.translation)
            for s in recordings
        ]
        tokens, labels = zip(*asked, strict=True)
        return Lesson(
            torch.stack(heard),
            lengths,
            pad([torch.tensor(row) for row in letters], 0),
            pad(tokens, self.end).unflatten(0, (2, -1)),
            pad(labels, IGNORE).unflatten(0, (2, -1)),
        )

    def extract(self, row: int) -> Float[Tensor, "mels S"]:
        """Compute the features of one recording."""
        wave = torch.from_numpy(self.recordings[row].waveform) / 32768
        wave = pad_right(wave, (0, -len(wave) % FRAME + MARGIN))
        return self.log_mel(wave[None])[0].half()

    def ask(
        self, task: Task, language: str, text: str
    ) -> tuple[Int[Tensor, " L"], Int[Tensor, " L"]]:
        """Write tokens for the decoder and, one place earlier, what it is to say."""
        prompt = self.prompt(task, language)
        answer = [*self.tokenizer(text)["input_ids"], self.end]
        row = torch.tensor(prompt + answer)
        labels = row[1:].clone()
        labels[: len(prompt) - 1] = IGNORE
        return row[:-1], labels

    def prompt(self, task: Task, language: str) -> list[int]:
        """Write the decoder's prompt: the one that the LLM will read."""
        text = PromptTemplates().prompt(task, language, "eng")
        return self.tokenizer(text)["input_ids"]


def pad(rows: Sequence[Tensor], value: int) -> Tensor:
    """Stack rows of unequal length, filled up on the right."""
    return pad_sequence(list(rows), batch_first=True, padding_value=value)
