"""Translate hours of sound, each recording in a fresh process: speech with pauses, and no speech.

    python -m recipes.benchmarks.hours

Speech is German sentences of the micro world's test split, drawn at random, with pauses of 1.3 to
4 s between. Each must become one segment, in order; how far their times and BLEU are off is
printed, and how much more memory than a minute takes it took. Silence, noise and notes must give
no text.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from speechalign import Translator
from speechalign.audio.io import SAMPLE_RATE
from speechalign.data.examples import read_audio
from speechalign.data.fleurs import Fleurs
from speechalign.evaluation.metrics import Bleu
from speechalign.inference.answers import Segment

CORPUS = "assets:micro/fleurs"
HUSH = 1e-4  # amplitude of noise in pauses, -80 dB
NOTE = SAMPLE_RATE // 4
HARMONICS = np.arange(1, 7)


class Sentence(NamedTuple):
    """One that was said."""

    start: float  # s
    end: float
    sound: np.ndarray  # (samples,)
    reference: str


class Translated(NamedTuple):
    """What a process made of a recording."""

    segments: list[Segment]
    seconds: float  # without loading
    peak: int  # bytes


def sentences(seconds: float, draw: np.random.Generator) -> Iterator[tuple[np.ndarray, Sentence]]:
    """Draw sentences until time is up, each after its pause."""
    corpus = Fleurs(CORPUS)
    references = corpus.texts("eng", "test")
    said = [(read_audio(u).numpy(), references[u.sentence_id])
            for u in corpus.utterances("deu", "test")]  # fmt: skip
    place = 0.0
    while True:
        sound, reference = said[draw.integers(len(said))]
        pause = HUSH * draw.standard_normal(int(draw.uniform(1.3, 4) * SAMPLE_RATE))
        start = place + len(pause) / SAMPLE_RATE
        place = start + len(sound) / SAMPLE_RATE
        if place > seconds:
            return
        yield pause, Sentence(start, place, sound, reference)


def write_speech(file: Path, seconds: float) -> list[Sentence]:
    """Write so much speech, and tell what was said when."""
    written = []
    with soundfile.SoundFile(file, "w", SAMPLE_RATE, 1, "PCM_16") as out:
        for pause, sentence in sentences(seconds, np.random.default_rng(0)):
            out.write(pause)
            out.write(sentence.sound)
            written.append(sentence)
    return written


def write_other(file: Path, kind: str, seconds: float) -> None:
    """Write so much of what is no speech."""
    draw = np.random.default_rng(0)
    with soundfile.SoundFile(file, "w", SAMPLE_RATE, 1, "PCM_16") as out:
        for _ in range(int(seconds * SAMPLE_RATE) // NOTE):
            out.write(block(kind, draw))


def block(kind: str, draw: np.random.Generator) -> np.ndarray:
    """Make a quarter of a second of silence, noise or a note."""
    if kind == "silence":
        return np.zeros(NOTE)
    if kind == "noise":
        return 0.1 * draw.standard_normal(NOTE)
    moment = np.arange(NOTE) / SAMPLE_RATE
    pitch = 220 * 2 ** (draw.integers(25) / 12)
    waves = np.sin(2 * np.pi * pitch * HARMONICS[:, None] * moment) / HARMONICS[:, None]
    return 0.2 * waves.sum(axis=0) * np.exp(-6 * moment)


def translated(file: Path) -> Translated:
    """Translate one recording from German in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as alone:
        return alone.submit(translate, file).result()


def translate(file: Path) -> Translated:
    """Translate one recording from German."""
    with Translator.from_pretrained(device="cpu") as translator:
        start = time.perf_counter()
        segments = list(translator.translate(file, from_="deu").segments)
        took = time.perf_counter() - start
    return Translated(segments, took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def tell_speech(said: list[Sentence], told: Translated, minute: Translated, seconds: float) -> None:
    """Print what became of the speech."""
    assert len(told.segments) == len(said), "sentences are lost, split or joined"
    pairs = list(zip(said, told.segments, strict=True))
    starts = max(abs(one.start - segment.start) for one, segment in pairs)
    ends = max(abs(one.end - segment.end) for one, segment in pairs)
    more = (told.peak - minute.peak) / 1e6
    print(f"{seconds / 3600:.2g} h of speech, {len(said)} sentences: all found, in order")
    print(f"times: starts off by {starts:.2f} s at most, ends by {ends:.2f} s")
    print(f"memory: {more:.0f} MB more than for a minute ({minute.peak / 1e6:.0f} MB)")
    print(f"{told.seconds:.0f} s, {seconds / told.seconds:.0f} x real time")
    with Translator.from_pretrained(device="cpu") as translator:
        alone = translator.translate([one.sound for one in said], from_="deu")
        texts = [answer.text for answer in alone]
    references, bleu = [one.reference for one in said], Bleu("13a")
    long = bleu.of([segment.text for segment in told.segments], references)
    print(f"BLEU: {long:.1f}, sentence by sentence {bleu.of(texts, references):.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--speech", type=float, default=3 * 3600, help="seconds")
    parser.add_argument("--other", type=float, default=1800, help="seconds of each other sound")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        short, file = Path(folder) / "minute.wav", Path(folder) / "hours.wav"
        write_speech(short, 60)
        said = write_speech(file, given.speech)
        tell_speech(said, translated(file), translated(short), given.speech)
        for kind in ("silence", "noise", "notes"):
            write_other(file, kind, given.other)
            told = translated(file)
            assert not told.segments, f"{kind} has text: {told.segments[0].text}"
            print(f"{given.other / 60:.2g} min of {kind}: no text, {told.seconds:.0f} s")


if __name__ == "__main__":
    main()
