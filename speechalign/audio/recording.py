"""A recording of any length, read slice by slice."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import soundfile
from jaxtyping import Float
from torch import Tensor

from speechalign.audio.io import SAMPLE_RATE, AudioError, AudioSource, load_audio, load_slices


class Recording(NamedTuple):
    """A file on disk, or samples in memory."""

    name: str
    duration: float  # seconds
    source: Path | Tensor

    @classmethod
    def open(cls, source: Any) -> "Recording":
        """Look at a recording; of a file on disk no more than its beginning is read.

        Args:
            source: An `AudioSource`; anything else is refused.

        Raises:
            AudioError: If it is no audio that can be read.
        """
        if not isinstance(source, AudioSource):
            raise AudioError(
                f"Audio cannot be of type {type(source).__name__}: give a path, bytes, a file"
                " opened with mode 'rb', samples at 16 kHz as array or tensor, or a list of such."
            )
        if isinstance(source, str | Path):
            load_audio(source, duration=0.1)  # which tells what is wrong with it
            return cls(str(source), soundfile.info(str(source)).duration, Path(source))
        waveform = load_audio(source)
        return cls("The recording", len(waveform) / SAMPLE_RATE, waveform)

    def slices(self, seconds: float) -> Iterator[tuple[Float[Tensor, " samples"], bool]]:
        """Give all of it at 16 kHz, so many seconds at a time, and whether that was the end.

        Raises:
            AudioError: If it cannot be read to its end.
        """
        count = math.ceil(self.duration / seconds)
        for number, slice_ in enumerate(self.read(seconds), start=1):
            yield slice_, number == count

    def read(self, seconds: float) -> Iterator[Float[Tensor, " samples"]]:
        """Give all of it, so many seconds at a time."""
        if isinstance(self.source, Path):
            yield from load_slices(self.source, seconds, self.duration)
            return
        for number in range(math.ceil(self.duration / seconds)):
            yield load_audio(self.source, start=number * seconds, duration=seconds)
