"""How far a batch of recordings is: seconds of speech, and how many of them a second takes."""

from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import soundfile
from tqdm import tqdm


class Progress:
    """A bar on the terminal; nothing where there is none.

    Args:
        places: Of the recordings.
    """

    def __init__(self, places: Sequence[str]) -> None:
        self.lengths = [length(place) for place in places]
        self.bar = tqdm(
            total=round(sum(self.lengths), 1),
            unit=" s of speech",
            disable=None,  # where stderr is no terminal
            bar_format="{percentage:3.0f}% {bar} {n:.0f} of {total:.0f} s, {rate_fmt}, {remaining}",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bar.close()

    def reached(self, recording: int, seconds: float) -> None:
        """Tell that a recording is understood up to here."""
        self.bar.update(max(0.0, sum(self.lengths[:recording]) + seconds - self.bar.n))


def length(place: str) -> float:
    """Give the seconds of a recording; 0 where it cannot be read, which is told when it is."""
    with suppress(OSError, soundfile.SoundFileError, TypeError):  # the last is its answer to *.raw
        return soundfile.info(place).duration
    return 0.0
