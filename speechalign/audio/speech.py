"""Where somebody speaks in a recording: found by level, voice and change, without a model.

What is louder than the background is taken for speech if some of it is voiced, which noise is not,
and if its spectrum does not stand still, as that of notes does. A neural detector knows more sounds
(`Silero`, of the extra `vad`).
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from speechalign.audio.io import SAMPLE_RATE
from speechalign.errors import UserError

HOP = 320  # samples, 20 ms
WINDOW = 1024  # samples, 64 ms: three periods of a low voice
LAG = 1  # hops after which a spectrum is compared with itself
BAND = slice(WINDOW * 100 // SAMPLE_RATE, WINDOW * 4000 // SAMPLE_RATE)  # bins, 100 to 4,000 Hz
PITCHES = slice(SAMPLE_RATE // 400, SAMPLE_RATE // 65)  # lags, 400 down to 65 Hz
ABOVE_FLOOR = 9.0  # dB over the background, the level that a tenth of all frames lie below
BELOW_PEAK = 35.0  # dB under the loud frames: what is fainter is no part of what they say
NEARLY_LOUD = 20.0  # dB under a region's loud frames: all of a melody without pauses lies within
FAINTEST = -75.0  # dB of full scale: the noise of 16 bits lies at -98
VOICED = 0.6  # normalised autocorrelation
VOICED_SHARE = 0.15  # of a region; 0.5 to 0.95 in speech, 0 in noise
STILL = 0.99  # cosine of two spectra
STILL_SHARE = 0.18  # of a region; up to 0.08 in speech, 0.25 and more in notes
SHORTEST = 0.1  # seconds of a region: shorter ones are clicks
GAP = 0.3  # seconds: closer regions are one


class Span(NamedTuple):
    """A part of a recording, in samples."""

    start: int
    end: int


SpeechDetector = Callable[[Float[Tensor, " samples"]], list[Span]]  # in order, without overlap


class EnergyDetector:
    """Finds speech by level, voice and change."""

    def __call__(self, waveform: Float[Tensor, " samples"]) -> list[Span]:
        """Give where somebody speaks in a recording at 16 kHz."""
        if len(waveform) < WINDOW:
            return []
        spectra, autocorrelation = analyse(waveform.numpy())
        power = (spectra**2).sum(axis=1) / WINDOW**2
        level = 10 * np.log10(power + 1e-12)
        floor, loud = np.percentile(level, (10, 95))
        active = level > max(floor + ABOVE_FLOOR, loud - BELOW_PEAK, FAINTEST)
        voiced = autocorrelation > VOICED
        still = np.zeros(len(level), dtype=bool)
        unit = spectra / (np.linalg.norm(spectra, axis=1, keepdims=True) + 1e-9)
        still[LAG:] = (unit[LAG:] * unit[:-LAG]).sum(axis=1) > STILL
        found = []
        for first, last in runs(active, round(GAP * SAMPLE_RATE / HOP)):
            inside = np.flatnonzero(active[first:last]) + first
            # of notes without pauses only their beginnings stand out, and these do change
            least = np.percentile(level[inside], 95) - NEARLY_LOUD
            loudest = np.flatnonzero(level[first:last] > least) + first
            is_speech = (
                len(inside) * HOP >= SHORTEST * SAMPLE_RATE
                and voiced[inside].mean() >= VOICED_SHARE
                and still[inside].mean() <= STILL_SHARE
                and still[loudest].mean() <= STILL_SHARE
            )
            if is_speech:
                middle = (WINDOW - HOP) // 2  # a frame tells of its middle
                end = min(len(waveform), last * HOP + middle)
                found.append(Span(first * HOP + (middle if first else 0), end))
        return found


def analyse(
    samples: Float[np.ndarray, " samples"],
) -> tuple[Float[np.ndarray, "T F"], Float[np.ndarray, " T"]]:
    """Give spectra of frames, and how periodic each frame is: 1 for a vowel, 0 for noise."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    taper = np.hanning(WINDOW).astype(np.float32)
    spectra = np.empty((len(frames), BAND.stop - BAND.start), dtype=np.float32)
    periodic = np.empty(len(frames), dtype=np.float32)
    fade = autocorrelate(np.abs(np.fft.rfft(taper, 2 * WINDOW)) ** 2)
    for start in range(0, len(frames), 500):  # a large matrix would cost memory and time
        rows = slice(start, start + 500)
        whole = np.abs(np.fft.rfft(frames[rows] * taper, 2 * WINDOW))
        spectra[rows] = whole[:, BAND.start * 2 : BAND.stop * 2 : 2]
        band = np.zeros_like(whole)
        band[:, BAND.start : BAND.stop * 2] = whole[:, BAND.start : BAND.stop * 2]
        periodic[rows] = (autocorrelate(band**2) / fade)[:, PITCHES].max(axis=1)
    return spectra, periodic


def autocorrelate(power: Float[np.ndarray, "*T F"]) -> Float[np.ndarray, "*T L"]:
    """Turn power spectra into autocorrelations, 1 at lag 0."""
    found = np.fft.irfft(power)
    return found / (found[..., :1] + 1e-12)


def runs(active: np.ndarray, gap: int) -> list[tuple[int, int]]:
    """Find runs of active frames; those that are nearer to one another than a gap are one."""
    places = np.flatnonzero(active)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > gap)
    starts = places[np.concatenate([[0], breaks + 1])]
    ends = places[np.concatenate([breaks, [len(places) - 1]])] + 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


class Everything:
    """Takes everything for speech."""

    def __call__(self, waveform: Float[Tensor, " samples"]) -> list[Span]:
        """Give all of a recording."""
        return [Span(0, len(waveform))] if len(waveform) else []


class Silero:
    """Finds speech by the Silero model, of the extra `vad`.

    Raises:
        UserError: If it is not installed.
    """

    def __init__(self) -> None:
        try:
            from silero_vad import get_speech_timestamps, load_silero_vad
        except ImportError as error:
            raise UserError(
                "Silero needs a package that is not installed: run"
                " `pip install 'speechalign[vad]'`, or use the detector `energy`."
            ) from error
        self._find = get_speech_timestamps
        with warnings.catch_warnings():  # it is loaded by what torch has deprecated
            warnings.simplefilter("ignore", DeprecationWarning)
            self._model = load_silero_vad()

    def __call__(self, waveform: Float[Tensor, " samples"]) -> list[Span]:
        """Give where somebody speaks in a recording at 16 kHz."""
        found = self._find(waveform, self._model, sampling_rate=SAMPLE_RATE)
        return [Span(one["start"], one["end"]) for one in found]
