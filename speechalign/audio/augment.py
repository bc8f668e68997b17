"""Other takes of a recording, for training: faster or slower, in noise, with parts that are hidden.

Whatever is random is drawn from a generator that the caller brings, so that a recording's take is a
function of its seed alone; torch's global random state is neither read nor changed.
"""

import math
import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import soundfile
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torchaudio import functional

from speechalign.audio.features import HOP
from speechalign.audio.io import SAMPLE_RATE, SOUNDS, load_audio
from speechalign.errors import UserError

LONGEST_SHARE = 0.2  # of a recording that one time mask hides: Park et al. 2019, the p of their SM


@dataclass(frozen=True)
class Augmentation:
    """How recordings vary from epoch to epoch; the defaults are usual values, not tuned ones.

    Attributes:
        speed: Factors to draw from: 1.1 is 10 % faster and higher, as a tape would be.
        noise_snr: Least and most decibels that speech is above its noise.
        noise_folder: Recordings of noise, in any subfolder; None for white noise.
        noise_probability: Share of the recordings that get noise.
        frequency_masks: How many stretches of mel bands are hidden (SpecAugment).
        frequency_width: Bands of the widest of them.
        time_masks: How many stretches of time are hidden.
        time_width: Seconds of the longest of them, if that is within a fifth of the recording.

    Raises:
        UserError: If a value cannot be drawn by, or the folder has no recording that can be read.
    """

    speed: tuple[float, ...] = (0.9, 1.0, 1.1)
    noise_snr: tuple[float, float] = (5.0, 20.0)
    noise_folder: str | None = None
    noise_probability: float = 0.5
    frequency_masks: int = 2
    frequency_width: int = 20
    time_masks: int = 2
    time_width: float = 0.5

    def __post_init__(self) -> None:
        check_speeds(self.speed)
        least, most = self.noise_snr
        if not (math.isfinite(least) and math.isfinite(most) and least <= most):
            raise UserError(f"noise_snr is {list(self.noise_snr)}; give [least, most] decibels.")
        if not 0 <= self.noise_probability <= 1:
            raise UserError(f"noise_probability is {self.noise_probability}; expected 0 to 1.")
        for name in ("frequency_masks", "frequency_width", "time_masks", "time_width"):
            if not (math.isfinite(value := getattr(self, name)) and value >= 0):
                raise UserError(f"{name} is {value}; expected 0 or more.")
        if self.noise_folder is not None and not self.noises:
            raise UserError(
                f"noise_folder {self.noise_folder!r} has no recordings ({', '.join(SOUNDS)});"
                " name a folder of noise, or leave it out for white noise."
            )

    @cached_property
    def noises(self) -> dict[Path, float]:
        """Recordings of noise and their seconds, in the order of their names."""
        files = sorted(Path(self.noise_folder or "").expanduser().rglob("*"))
        return {file: seconds_of(file) for file in files if file.suffix.lower() in SOUNDS}

    def vary(
        self, waveform: Float[Tensor, " samples"], window: int, draw: random.Random
    ) -> Float[Tensor, " samples2"]:
        """Return another take of 16 kHz speech.

        Args:
            waveform: The recording.
            window: Most samples of a take; a recording that would get longer keeps its speed.
            draw: What decides.
        """
        taken = change_speed(waveform, draw.choice(self.speed))
        if len(taken) > window:
            taken = waveform
        if draw.random() >= self.noise_probability:
            return taken
        snr = draw.uniform(*self.noise_snr)
        return mix(taken, self.noise(len(taken), draw), snr)

    def noise(self, samples: int, draw: random.Random) -> Float[Tensor, " samples"]:
        """Give so much noise: white, or of a recording from a place in it on, repeated if short."""
        if self.noise_folder is None:
            generator = torch.Generator().manual_seed(draw.getrandbits(63))
            return torch.randn(samples, generator=generator)
        file = draw.choice(list(self.noises))
        seconds = samples / SAMPLE_RATE
        start = draw.uniform(0, max(0.0, self.noises[file] - seconds))
        heard = load_audio(file, start=start, duration=max(seconds, 1 / SAMPLE_RATE))
        return heard.repeat(-(-samples // len(heard)))[:samples]

    def hide(self, mels: int, frames: int, draw: random.Random) -> Bool[Tensor, "mels S"]:
        """Choose the cells of a recording's log-mel features that are hidden (Park et al. 2019).

        Args:
            mels: Bands.
            frames: Of 10 ms, those that are speech.
            draw: What decides.
        """
        hidden = torch.zeros(mels, frames, dtype=torch.bool)
        for _ in range(self.frequency_masks):
            hidden[stretch(self.frequency_width, mels, draw)] = True
        longest = min(self.time_width * SAMPLE_RATE / HOP, LONGEST_SHARE * frames)
        for _ in range(self.time_masks):
            hidden[:, stretch(int(longest), frames, draw)] = True
        return hidden


def check_speeds(speeds: tuple[float, ...]) -> None:
    """Refuse speeds that make no speech, or that cost gigabytes.

    torchaudio's filter grows with the smallest whole ratio of the rates: 11 : 10 needs kilobytes,
    10001 : 10000 gigabytes.

    Raises:
        UserError: If there is one, or none at all.
    """
    for speed in speeds or (math.nan,):
        if not (0.5 <= speed <= 2 and math.isclose(100 * speed, round(100 * speed))):
            raise UserError(
                f"speed is {list(speeds)}; give factors from 0.5 to 2 in whole percents, as"
                " [0.9, 1.0, 1.1]."
            )


def seconds_of(file: Path) -> float:
    """Read how long a recording is.

    Raises:
        UserError: If it cannot be read, or has no samples.
    """
    try:
        seconds = soundfile.info(str(file)).duration
    except (RuntimeError, OSError) as error:
        raise UserError(f"{file}: no noise that can be read ({error}); remove it.") from error
    if not seconds:
        raise UserError(f"{file}: a noise that holds no samples; remove it.")
    return seconds


def change_speed(waveform: Float[Tensor, " samples"], speed: float) -> Float[Tensor, " samples2"]:
    """Play 16 kHz audio faster (above 1) or slower: its length and its pitch change."""
    if speed == 1:
        return waveform
    return functional.speed(waveform, SAMPLE_RATE, round(speed, 2))[0]


def mix(
    waveform: Float[Tensor, " samples"], noise: Float[Tensor, " samples"], snr: float
) -> Float[Tensor, " samples"]:
    """Add noise so many decibels below the speech, in mean power over the recording."""
    if not noise.any():  # digital silence cannot be made as loud as asked: it would be 0 / 0
        return waveform
    return functional.add_noise(waveform, noise, torch.tensor(snr))


def stretch(widest: int, size: int, draw: random.Random) -> slice:
    """Draw a stretch of 0 to `widest` places out of `size`, each width as likely as another."""
    width = draw.randint(0, min(widest, size))
    start = draw.randint(0, size - width)
    return slice(start, start + width)
