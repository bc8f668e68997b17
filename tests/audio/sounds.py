"""Sounds for the tests of `load_audio`, and files of every format that hold them."""

from pathlib import Path

import numpy as np
import soundfile

from speechalign.audio.io import SAMPLE_RATE

# name of the file, soundfile's format and subtype, how far the codec may stray
FORMATS = {
    "pcm.wav": ("WAV", "PCM_16", 1e-4),
    "float.wav": ("WAV", "FLOAT", 0.0),
    "mulaw.wav": ("WAV", "ULAW", 0.02),
    "a.flac": ("FLAC", "PCM_24", 1e-6),
    "vorbis.ogg": ("OGG", "VORBIS", 0.1),
    "opus.ogg": ("OGG", "OPUS", 0.1),
    "a.mp3": ("MP3", "MPEG_LAYER_III", 0.1),
    "a.aiff": ("AIFF", "PCM_16", 1e-4),
    "a.w64": ("W64", "PCM_16", 1e-4),
    "a.au": ("AU", "PCM_16", 1e-4),
}


def sine(seconds: float, rate: int = SAMPLE_RATE, hertz: float = 440.0, peak: float = 0.5):
    return peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def sound(seconds: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    """A tone with noise, so that no two stretches of it are alike."""
    noise = np.random.default_rng(0).standard_normal(round(seconds * rate))
    return (sine(seconds, rate) + 0.03 * noise).astype(np.float32)


def write(folder: Path, name: str, samples: np.ndarray, rate: int = SAMPLE_RATE) -> Path:
    kind, subtype, _ = FORMATS[name]
    soundfile.write(folder / name, samples, rate, format=kind, subtype=subtype)
    return folder / name
