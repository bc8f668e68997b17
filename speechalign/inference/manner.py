"""How recordings are worked on: batches, pieces, and what comes with their texts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from speechalign.audio.io import SAMPLE_RATE
from speechalign.audio.segment import Segmenter
from speechalign.audio.speech import EnergyDetector, Everything, Silero, SpeechDetector
from speechalign.errors import UserError

Detector = Literal["energy", "silero", "none"]
DETECTORS: dict[Detector, Callable[[], SpeechDetector]] = {
    "energy": EnergyDetector,
    "silero": Silero,
    "none": Everything,
}


@dataclass(frozen=True)
class Manner:
    """How recordings are worked on.

    Attributes:
        batch_size: Pieces that are decoded together; no effect on the text, unless it is sampled.
        transcripts: Whether a translation comes with the transcript of each segment.
        words: Whether each segment's words come with times.
        detector: What finds speech: `energy`, `silero` (of the extra `vad`), or `none`, which takes
            everything for speech.
        pause: Seconds of silence that end a segment in any case.
        longest: Seconds of a segment at most; by default what the model hears at once.
    """

    batch_size: int = 16
    transcripts: bool = False
    words: bool = False
    detector: Detector = "energy"
    pause: float = 1.0
    longest: float | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"The batch size is {self.batch_size}: it must be 1 or more.")
        if self.detector not in DETECTORS:
            raise UserError(
                f"There is no detector {self.detector!r}: choose one of {', '.join(DETECTORS)}."
            )

    def segmenter(self, window: int) -> Segmenter:
        """Make what cuts recordings for a model that hears so many samples at once."""
        asked = window if self.longest is None else round(self.longest * SAMPLE_RATE)
        return Segmenter(DETECTORS[self.detector](), min(window, asked), self.pause)
