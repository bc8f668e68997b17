"""A recording of any length as pieces that a model hears at once, cut at pauses.

It is read slice by slice, so that hours cost no more memory than a minute. Pieces hold all that a
detector takes for speech, in order, and no part of it twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from speechalign.audio.io import SAMPLE_RATE
from speechalign.audio.recording import Recording
from speechalign.audio.speech import HOP, Span, SpeechDetector
from speechalign.errors import UserError

SLICE = 60.0  # seconds that are read at a time
MARGIN = round(0.2 * SAMPLE_RATE)  # samples after speech that are heard with it
LEAD = round(0.06 * SAMPLE_RATE)  # before it: models are least used to silence at the beginning


class Piece(NamedTuple):
    """A part of a recording in which somebody speaks."""

    start: float  # seconds from the recording's start, without margin
    end: float
    waveform: Float[Tensor, " samples"]  # 16 kHz, with a margin
    offset: float  # seconds from the recording's start to that of the waveform


@dataclass(frozen=True)
class Segmenter:
    """Cuts recordings into pieces.

    Attributes:
        detector: Tells where somebody speaks.
        longest: Samples of a piece: those that the model hears at once, or fewer.
        pause: Seconds of silence that end a piece in any case. Readers pause for up to a second
            within a sentence.
    """

    detector: SpeechDetector
    longest: int
    pause: float = 1.0

    def __post_init__(self) -> None:
        if self.pause < 0:
            raise UserError(f"A pause of {self.pause} s was given: give 0 s or more.")
        if self.longest <= 4 * MARGIN:
            raise UserError(
                f"Pieces of {self.longest / SAMPLE_RATE:.2f} s were asked for: give more than"
                f" {4 * MARGIN / SAMPLE_RATE:.1f} s."
            )

    def pieces(self, recording: Recording) -> Iterator[Piece]:
        """Give the pieces of a recording, in order.

        One that is no longer than a piece may be, and has no long pause, is kept whole, and heard
        as it was in training and evaluation.

        Raises:
            AudioError: If it cannot be read to its end.
        """
        place = 0  # of the first sample held
        held = torch.zeros(0)
        for more, ended in recording.slices(SLICE):
            held = torch.cat([held, more])
            groups = self.groups(held)
            if ended and place == 0 and len(held) <= self.longest and len(groups) < 2:
                for group in groups:
                    start, end = group[0].start / SAMPLE_RATE, group[-1].end / SAMPLE_RATE
                    yield Piece(start, end, held, 0.0)
                return
            room = self.longest - 2 * MARGIN
            spans = [part for group in groups for part in parted(group, room, held)]
            open_from = len(held) if ended else self.open_from(spans, len(held))
            done = [span for span in spans if span.end <= open_from]
            neighbours = [0 if place else -2 * MARGIN, *(span.end for span in done)]
            following = [*(span.start for span in spans[1:]), len(held) + 2 * MARGIN]
            for span, before, after in zip(done, neighbours, following, strict=False):
                yield piece(held, span, before, after, place)
            kept = max([span.end for span in done], default=0)
            kept = max(kept, min(open_from, len(held)) - 2 * MARGIN)
            held, place = held[kept:].clone(), place + kept

    def open_from(self, spans: list[Span], length: int) -> int:
        """Tell from where on a slice must be seen again, together with what follows it."""
        if spans and length - spans[-1].end < max(self.pause * SAMPLE_RATE, 2 * MARGIN):
            return spans[-1].start
        return length

    def groups(self, waveform: Float[Tensor, " samples"]) -> list[list[Span]]:
        """Find what is spoken from one long pause to the next."""
        groups: list[list[Span]] = []
        for span in self.detector(waveform):
            if groups and span.start - groups[-1][-1].end < self.pause * SAMPLE_RATE:
                groups[-1].append(span)
            else:
                groups.append([span])
        return groups


def parted(group: list[Span], room: int, waveform: Float[Tensor, " samples"]) -> Iterator[Span]:
    """Part speech that is too long, at its longest pause, or where it is faintest."""
    whole = Span(group[0].start, group[-1].end)
    if whole.end - whole.start <= room:
        yield whole
    elif len(group) > 1:
        pauses = [after.start - before.end for before, after in pairwise(group)]
        cut = pauses.index(max(pauses)) + 1
        yield from parted(group[:cut], room, waveform)
        yield from parted(group[cut:], room, waveform)
    else:
        cut = faintest(waveform, whole, room)
        yield Span(whole.start, cut)
        yield from parted([Span(cut, whole.end)], room, waveform)


def faintest(waveform: Float[Tensor, " samples"], span: Span, room: int) -> int:
    """Find where speech without a pause is cut best: in the second half of what there is room for.

    The rest is no shorter than that half, if it can be.
    """
    last = min(span.start + room, span.end - HOP)
    first = span.start + room // 2
    level = waveform[first:last].unfold(0, 5 * HOP, HOP).square().mean(dim=1)
    return first + int(level.argmin()) * HOP + 5 * HOP // 2


def piece(
    waveform: Float[Tensor, " samples"], span: Span, before: int, after: int, place: int
) -> Piece:
    """Take a span with a margin, which reaches no further than midway to its neighbours."""
    start = max(span.start - LEAD, (before + span.start + 1) // 2, 0)
    end = min(span.end + MARGIN, (span.end + after) // 2, len(waveform))
    times = [(place + sample) / SAMPLE_RATE for sample in (*span, start)]
    return Piece(times[0], times[1], waveform[start:end].clone(), times[2])
