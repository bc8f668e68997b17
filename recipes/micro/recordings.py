"""Speech to pretrain the micro encoder on, as `corpus.py --pretrain` wrote it, and speech to score.

What is scored are sentences of the dev split, so combinations of words that pretraining never saw,
by the speakers of the test split, whom it never heard, through the corpus' codec.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from recipes.micro.corpus import speak_through_codec, to_int16
from recipes.micro.speech import SPEAKERS, Line, speak_all
from recipes.micro.text import LANGUAGES, normalize, sentences


class Spoken(NamedTuple):
    """One recording and what is to be said about it."""

    language: str
    waveform: np.ndarray  # int16, 16 kHz
    text: str
    translation: str  # into English

    @property
    def spelling(self) -> str:
        """The text in lower case without punctuation, which CTC learns to spell."""
        return normalize(self.text)


def read_recordings(folder: Path) -> list[Spoken]:
    """Read `<code>.npy` and `<code>.tsv` of all languages."""
    return [spoken for code in LANGUAGES for spoken in read_language(folder / code)]


def read_language(stem: Path) -> Iterator[Spoken]:
    """Cut the samples of one language into its recordings."""
    samples = np.load(stem.with_suffix(".npy"), mmap_mode="c")  # torch wants it writable
    with stem.with_suffix(".tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            start = int(row["start"])
            wave = samples[start : start + int(row["samples"])]
            yield Spoken(stem.name, wave, row[stem.name], row["eng"])


def speak_unseen(count: int, seed: int) -> list[Spoken]:
    """Speak `count` unseen sentences in every language with unseen voices."""
    asked = [(one, code) for one in sentences(count, seed, "dev") for code in LANGUAGES]
    random = Random(f"unseen-{seed}")
    lines = [
        Line(one.texts[code], code, random.choice(SPEAKERS["test"]), f"unseen-{seed}")
        for one, code in asked
    ]
    waves = speak_all(lines, speak_through_codec, processes=1)
    return [
        Spoken(code, to_int16(wave), one.texts[code], one.texts["eng"])
        for (one, code), wave in zip(asked, waves, strict=True)
    ]
