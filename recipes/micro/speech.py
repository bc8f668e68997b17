"""Speaks the micro world's text with espeak-ng: many voices, mild noise and band limits, seeded.

What comes out is mono float32 at 16 kHz with 0.05-0.15 s of silence at both ends and a peak of at
most 0.9; the same text, language, voice and seed give the same samples.
"""

import hashlib
import io
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple, TypeVar

import numpy as np
import soundfile
import soxr

from speechalign.errors import UserError

Spoken = TypeVar("Spoken")

SAMPLE_RATE = 16_000
ESPEAK_VOICES = {
    "eng": "en-us",
    "deu": "de",
    "fra": "fr-fr",
    "ita": "it",
    "spa": "es-419",
    "swe": "sv",
    "nld": "nl",
    "por": "pt-br",
    "nob": "nb",
}
# espeak-ng's voice variants are our speakers; those of train, dev and test are different people.
SPEAKERS = {
    "train": ("f1", "f3", "f5", "m1", "m3", "m4", "m6", "m7"),
    "dev": ("f4", "m8"),
    "test": ("f2", "m2", "m5"),
}
EXTRA_SPEAKERS = {
    "Andrea": "f",
    "Annie": "f",
    "belinda": "f",
    "linda": "f",
    "steph": "f",
} | dict.fromkeys(
    ("Alex", "Denis", "Diogo", "Gene", "Lee", "Mario", "Michael", "max", "rob", "victor"), "m"
)
RATE = (170, 220)  # words a minute
PITCH = (30, 70)  # espeak-ng's scale, 0-99
SILENCE = (0.05, 0.15)  # seconds, at either end
PEAK = (0.3, 0.9)
NOISE = (25.0, 40.0)  # signal-to-noise ratio, dB
LOW_PASS = (4500.0, 7500.0)  # Hz
HIGH_PASS = (60.0, 150.0)  # Hz
FFT_STEP = 2048  # transforms of a multiple of it are quick, those of a prime length are not
QUIET = 0.01  # share of the peak under which espeak-ng's own edges count as silence


class Line(NamedTuple):
    """One thing to say."""

    text: str
    language: str
    speaker: str
    seed: str  # decides rate, pitch, noise, band and gain


def gender(speaker: str) -> str:
    """Return FLEURS' word for a speaker's gender."""
    return "FEMALE" if EXTRA_SPEAKERS.get(speaker, speaker[0]) == "f" else "MALE"


def require_espeak() -> str:
    """Return the path of espeak-ng.

    Raises:
        UserError: If it is not installed.
    """
    path = shutil.which("espeak-ng")
    if path is None:
        raise UserError(
            "The program espeak-ng was not found; it speaks the micro corpus. "
            "Install it, e.g. `apt-get install espeak-ng`."
        )
    return path


def speak_all(
    lines: Iterable[Line], work: Callable[[Line], Spoken], processes: int = 2
) -> Iterator[Spoken]:
    """Do `work`, which is `speak` and perhaps more, on lines in parallel; the order is kept."""
    require_espeak()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, lines, chunksize=16)


def speak(line: Line) -> np.ndarray:
    """Say one line: synthesize, trim, filter, add noise, scale."""
    name = f"{line.seed}|{line.language}|{line.speaker}|{line.text}"
    random = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
    rate, pitch = (int(random.integers(*limits, endpoint=True)) for limits in (RATE, PITCH))
    voice = synthesize(line.text, f"{ESPEAK_VOICES[line.language]}+{line.speaker}", rate, pitch)
    lead, trail = (int(seconds * SAMPLE_RATE) for seconds in random.uniform(*SILENCE, size=2))
    return degrade(np.pad(trim(voice), (lead, trail)), random)


def synthesize(text: str, voice: str, rate: int, pitch: int) -> np.ndarray:
    """Run espeak-ng and resample its 22.05 kHz to 16 kHz."""
    command = [require_espeak(), "-v", voice, "-s", str(rate), "-p", str(pitch), "--stdin"]
    done = subprocess.run(
        [*command, "--stdout"], input=text.encode(), capture_output=True, check=False
    )
    if done.returncode or not done.stdout:
        raise UserError(f"espeak-ng could not speak {text!r}: {done.stderr.decode().strip()}")
    wave, sample_rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    return soxr.resample(wave, sample_rate, SAMPLE_RATE)


def trim(wave: np.ndarray) -> np.ndarray:
    """Cut the silence at both ends."""
    loud = np.flatnonzero(np.abs(wave) > QUIET * np.abs(wave).max())
    return wave[loud[0] : loud[-1] + 1]


def degrade(wave: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Limit the band, add white or pink noise and set the gain."""
    size = -(-len(wave) // FFT_STEP) * FFT_STEP
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    high, low = random.uniform(*HIGH_PASS), random.uniform(*LOW_PASS)
    with np.errstate(divide="ignore"):
        band = 1 / np.sqrt((1 + (frequencies / low) ** 8) * (1 + (high / frequencies) ** 4))
    tilt = 0.5 if random.random() < 0.5 else 0.0  # pink noise falls with the root of frequency
    shape = np.maximum(frequencies, 50.0) ** -tilt
    noise = np.fft.irfft(np.fft.rfft(random.standard_normal(size)) * shape)[: len(wave)]
    speech = np.fft.irfft(np.fft.rfft(wave, size) * band)[: len(wave)]
    ratio = 10 ** (random.uniform(*NOISE) / 20)
    mixed = speech + noise * (_level(speech) / (ratio * _level(noise)))
    return (mixed * (random.uniform(*PEAK) / np.abs(mixed).max())).astype(np.float32)


def _level(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(wave**2)))
