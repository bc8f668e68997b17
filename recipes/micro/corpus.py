"""Writes the micro world's speech: the corpus in FLEURS' layout, and more speech to pretrain on.

`python -m recipes.micro.corpus --output speechalign/assets/micro/fleurs` rebuilds the packaged
corpus, byte for byte: `<locale>/<split>.tsv` and `<locale>/audio/<split>.tar.gz` with Ogg Opus.
With `--pretrain DIR` it writes 16-bit arrays for pretraining instead; those are not packaged.
"""

import argparse
import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import soundfile

from recipes.micro.codec import opus
from recipes.micro.speech import (
    EXTRA_SPEAKERS,
    SPEAKERS,
    Line,
    gender,
    speak,
    speak_all,
)
from recipes.micro.text import LANGUAGES, LENGTHS, TRAINED, ZERO_SHOT, Sentence, Style, sentences

LOCALES = {
    "eng": "en_us",
    "deu": "de_de",
    "fra": "fr_fr",
    "ita": "it_it",
    "spa": "es_419",
    "swe": "sv_se",
    "nld": "nl_nl",
    "por": "pt_br",
    "nob": "nb_no",
}
FIRST_ID = {"train": 1, "dev": 10_001, "test": 20_001}  # sentence ids, the same in every language
REPEATED = 0.05  # share of train sentences with a second speaker
PAIRS = tuple(combinations(TRAINED, 2))
TEXT_ONLY = ("eng", "train")  # nothing learns from its audio, and there is no room for it


class Counts(NamedTuple):
    """Sentences of each split; zero-shot languages have a smaller train split."""

    train: int = 1350
    zero_shot_train: int = 40
    dev: int = 40
    test: int = 150


class Take(NamedTuple):
    """One recording to make."""

    sentence_id: int
    sentence: Sentence
    speaker: str

    @property
    def file(self) -> str:
        """Name the recording within its split."""
        return f"{self.sentence_id:05d}_{self.speaker}.ogg"


class Recording(NamedTuple):
    """What was said for a take."""

    samples: int
    content: bytes  # Ogg Opus


class Part(NamedTuple):
    """One split of one language."""

    language: str
    split: str
    takes: list[Take]

    def lines(self) -> Iterator[Line]:
        """Yield what is to be said."""
        for take in self.takes:
            text = take.sentence.texts[self.language]
            yield Line(text, self.language, take.speaker, f"{self.split}-{take.sentence_id}")


def write_corpus(folder: Path, counts: Counts | None = None, seed: int = 0) -> None:
    """Write every language and split in FLEURS' layout.

    Args:
        folder: Gets one folder a locale.
        counts: Sentences of each split.
        seed: Decides sentences, speakers, noise and everything else.
    """
    counts = counts or Counts()
    parts = []
    for split in FIRST_ID:
        text = sentences(getattr(counts, split), seed, split)
        for language in LANGUAGES:
            short = split == "train" and language in ZERO_SHOT
            chosen = text[: counts.zero_shot_train] if short else text
            parts.append(Part(language, split, cast(chosen, language, split)))
    recordings = speak_all((line for part in parts for line in part.lines()), record)
    for part in parts:
        write_part(folder / LOCALES[part.language], part, recordings)


def cast(text: list[Sentence], language: str, split: str) -> list[Take]:
    """Give every sentence a speaker; in train some get two, and most languages lack a sentence.

    A train sentence is spoken in two of the trained languages, each pair in its turn: as many
    different sentences as the size allows, because an adapter learns a few hundred by heart, and
    every one of them in a parallel pair. English keeps every sentence: it is the target of all.
    """
    random = Random(f"cast-{language}-{split}")
    takes = []
    for number, sentence in enumerate(text):
        speakers = random.sample(SPEAKERS[split], 2)
        repeated = split == "train" and random.random() < REPEATED
        elsewhere = language in TRAINED and language not in PAIRS[number % len(PAIRS)]
        if split == "train" and elsewhere:
            continue
        sentence_id = FIRST_ID[split] + number
        takes += [Take(sentence_id, sentence, speaker) for speaker in speakers[: 1 + repeated]]
    return takes


def record(line: Line) -> Recording:
    """Speak and encode one line."""
    wave = speak(line)
    return Recording(len(wave), opus(wave))


def write_part(folder: Path, part: Part, recordings: Iterator[Recording]) -> None:
    """Write the table and the archive of one split; `recordings` goes on with its own."""
    rows, files = [], {}
    for take, recording in zip(part.takes, recordings, strict=False):  # later parts use the rest
        rows.append("\t".join(row(take, part.language, recording.samples)))
        files[f"{part.split}/{take.file}"] = recording.content
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    (folder / f"{part.split}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    if (part.language, part.split) != TEXT_ONLY:
        write_archive(folder / "audio" / f"{part.split}.tar.gz", files)


def row(take: Take, language: str, samples: int) -> tuple[str, ...]:
    """Return FLEURS' seven columns."""
    normalized = take.sentence.normalized[language]
    characters = "".join(f"{' '.join(word)} | " for word in normalized.split()).strip()
    return (
        str(take.sentence_id),
        take.file,
        take.sentence.texts[language],
        normalized,
        characters,
        str(samples),
        gender(take.speaker),
    )


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    """Write a tar.gz whose bytes depend on its files alone."""
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def speak_through_codec(line: Line) -> np.ndarray:
    """Speak a line, and send it through the codec of the corpus."""
    decoded, _ = soundfile.read(io.BytesIO(opus(speak(line))), dtype="float32")
    return decoded


def speak_for_pretraining(line: Line) -> np.ndarray:
    """Speak a line; half of all lines, by a hash of the text, go through the codec."""
    coded = zlib.crc32(line.text.encode()) % 2
    return speak_through_codec(line) if coded else speak(line)


def write_pretraining(folder: Path, count: int, seed: int = 0, style: Style = "all") -> None:
    """Write speech to pretrain on: other sentences in each language, none of the test speakers.

    `<code>.npy` holds the 16-bit samples of all recordings in a row, `<code>.tsv` one recording a
    line: key, start, samples, speaker, then its text in all nine languages.

    Args:
        folder: Where the files go.
        count: Sentences, and recordings, of each language.
        seed: Decides everything.
        style: Of the sentences, see `sentences`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    speakers = (*SPEAKERS["train"], *SPEAKERS["dev"], *EXTRA_SPEAKERS)
    text = sentences(count * len(LANGUAGES), seed, "pretrain", style=style)
    lines = {}
    for number, language in enumerate(LANGUAGES):
        random = Random(f"pretrain-{seed}-{language}")
        lines[language] = [
            Line(one.texts[language], language, random.choice(speakers), f"pretrain-{seed}")
            for one in text[number :: len(LANGUAGES)]
        ]
    waves = speak_all((line for some in lines.values() for line in some), speak_for_pretraining)
    for number, language in enumerate(LANGUAGES):
        write_array(folder / language, text[number :: len(LANGUAGES)], lines[language], waves)


def to_int16(wave: np.ndarray) -> np.ndarray:
    """Round to 16 bits; a codec may overshoot the full range, which would wrap around."""
    return (np.clip(wave, -1, 1) * 32767).astype(np.int16)


def write_array(
    stem: Path, text: list[Sentence], lines: list[Line], waves: Iterator[np.ndarray]
) -> None:
    """Write one language's pretraining speech: `<stem>.npy` and `<stem>.tsv`."""
    pieces, start = [], 0
    rows = ["\t".join(("key", "start", "samples", "speaker", *LANGUAGES))]
    for sentence, line, wave in zip(text, lines, waves, strict=False):  # others use the rest
        pieces.append(to_int16(wave))
        place = (str(start), str(len(wave)))
        rows.append("\t".join((sentence.key, *place, line.speaker, *sentence.texts.values())))
        start += len(wave)
    np.save(stem.with_suffix(".npy"), np.concatenate(pieces))
    stem.with_suffix(".tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    """Write the micro corpus in FLEURS' layout, or speech to pretrain on."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, help="folder of the corpus")
    for name, default in Counts()._asdict().items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=int, default=default, help=f"sentences (default {default})")
    parser.add_argument("--pretrain", type=Path, help="folder of the pretraining speech")
    parser.add_argument("--pretrain-count", type=int, default=2000, help="sentences a language")
    parser.add_argument("--pretrain-style", choices=LENGTHS, default="all", help="of its sentences")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.output is None and given.pretrain is None:
        parser.error("give --output, --pretrain or both")
    if given.output is not None:
        counts = Counts(given.train, given.zero_shot_train, given.dev, given.test)
        write_corpus(given.output, counts, given.seed)
    if given.pretrain is not None:
        write_pretraining(given.pretrain, given.pretrain_count, given.seed, given.pretrain_style)


if __name__ == "__main__":
    main()
