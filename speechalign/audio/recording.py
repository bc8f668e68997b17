"""A recording of any length, read slice by slice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import soundfile
from jaxtyping import Float
from torch import Tensor

from speechalign.audio.io import SAMPLE_RATE, AudioError, AudioSource, load_audio


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
        start = 0.0
        while start < self.duration:
            ended = start + seconds >= self.duration
            yield load_audio(self.source, start=start, duration=seconds), ended
            start += seconds
