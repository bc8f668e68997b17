"""FLEURS at its full size without its sound: all tables, and recordings that are empty files."""

import random
from collections.abc import Sequence
from math import ceil
from pathlib import Path

from speechalign.languages import LANGUAGES, Language

SPLITS = {"train": (0, 1509), "dev": (1509, 1659), "test": (1659, 2009)}  # sentences of each
SECONDS = (6.0, 22.0)  # of a sentence, in all languages alike
PACE = (0.8, 1.25)  # of a recording beside that
RATE = 16_000  # samples a second
WORDS, LETTERS = 20, (2, 9)  # of a sentence, of a word
VOCABULARY, ALPHABET = 3000, 24  # words and letters of a language
FIRST = {"Latn": 0x61, "Cyrl": 0x430, "Arab": 0x628, "Hans": 0x4E00, "Hant": 0x4E00}  # letters
OTHERS = 0x915  # of three bytes, as those of most scripts


def write_tables(root: Path, share: float = 1.0, seed: int = 0) -> int:
    """Write every split of every language, and count the recordings.

    As in FLEURS, all recordings of a sentence have one text, and each split has sentences of its
    own.

    Args:
        root: The corpus' folder.
        share: Of the recordings that FLEURS has in each split; one at least is written.
        seed: Of what is written.
    """
    draw = random.Random(seed)
    seconds = [draw.uniform(*SECONDS) for _ in range(SPLITS["test"][1])]
    return sum(write_language(root, one, seconds, share, draw) for one in LANGUAGES)


def write_language(
    root: Path, language: Language, seconds: Sequence[float], share: float, draw: random.Random
) -> int:
    """Write the splits of one language; `seconds` of each sentence, the rest as above."""
    folder = root / language.fleurs
    first = FIRST.get(language.flores.split("_")[1], OTHERS)
    alphabet = [chr(first + letter) for letter in range(ALPHABET)]
    words = ["".join(draw.choices(alphabet, k=draw.randint(*LETTERS))) for _ in range(VOCABULARY)]
    written = 0
    for split, (start, end) in SPLITS.items():
        texts = {sentence: draw.choices(words, k=WORDS) for sentence in range(start, end)}
        audio = folder / "audio" / split
        audio.mkdir(parents=True)
        lines = []
        for _ in range(ceil(share * getattr(language.recordings, split))):
            sentence, name = draw.randrange(start, end), f"{draw.getrandbits(64)}.wav"
            (audio / name).touch()
            samples = round(seconds[sentence] * draw.uniform(*PACE) * RATE)
            lines.append(line(sentence, name, texts[sentence], samples))
        (folder / f"{split}.tsv").write_text("".join(lines), encoding="utf-8")
        written += len(lines)
    return written


def line(sentence: int, name: str, words: Sequence[str], samples: int) -> str:
    """Write one recording as FLEURS does."""
    text = " ".join(words)
    spelled = " | ".join(" ".join(word) for word in words) + " |"
    fields = (sentence, name, f"{text.capitalize()}.", text, spelled, samples, "FEMALE")
    return "\t".join(map(str, fields)) + "\n"
