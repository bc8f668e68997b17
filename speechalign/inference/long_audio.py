"""Recordings of any length, any number of them: cut, understood in batches, told in order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from speechalign.audio.recording import Recording
from speechalign.audio.segment import Piece, Segmenter
from speechalign.errors import UserError
from speechalign.inference.answers import Answer, Segment, put_together
from speechalign.inference.asking import Wanted
from speechalign.languages import language

AHEAD = 4  # batches that are cut before one is understood, to put like lengths together
Understand = Callable[[Sequence[Piece]], list[Segment]]


class Told(NamedTuple):
    """The next segment of a recording, or its end."""

    recording: int  # its number
    segment: Segment | None = None
    duration: float = 0.0  # at the end: of the recording, in seconds
    error: UserError | None = None  # at the end: why it could not be read to its end


def understand_all(
    recordings: Iterable[Callable[[], Recording]],
    segmenter: Segmenter,
    understand: Understand,
    batch_size: int,
) -> Iterator[Told]:
    """Understand recordings one after the other, pieces of like length together.

    Args:
        recordings: What opens each; it is opened when it is its turn.
        segmenter: Cuts them.
        understand: Makes a segment of each piece.
        batch_size: Pieces that are understood together.

    Yields:
        The segments of the first recording in order, its end, those of the second, and so on.
    """
    waiting: list[tuple[int, Piece | Told]] = []
    pieces = 0
    for number, open_one in enumerate(recordings):
        for one in pieces_of(number, open_one, segmenter):
            waiting.append((number, one))
            pieces += isinstance(one, Piece)
            if pieces in (0, AHEAD * batch_size):  # the ends of silent recordings wait for nobody
                yield from understood(waiting, understand, batch_size)
                waiting.clear()
                pieces = 0
    yield from understood(waiting, understand, batch_size)


def pieces_of(
    number: int, open_one: Callable[[], Recording], segmenter: Segmenter
) -> Iterator[Piece | Told]:
    """Cut one recording; its end comes last, and tells if it could not be read."""
    duration = 0.0
    try:
        recording = open_one()
        duration = recording.duration
        yield from segmenter.pieces(recording)
    except UserError as error:
        yield Told(number, duration=duration, error=error)
    else:
        yield Told(number, duration=duration)


def understood(
    waiting: Sequence[tuple[int, Piece | Told]], understand: Understand, batch_size: int
) -> Iterator[Told]:
    """Understand what is waiting, the longest first, and tell it in its order."""
    pieces = {place: one for place, (_, one) in enumerate(waiting) if isinstance(one, Piece)}
    order = sorted(pieces, key=lambda place: -len(pieces[place].waveform))
    segments: dict[int, Segment] = {}
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        found = understand([pieces[place] for place in places])
        segments |= dict(zip(places, found, strict=True))
    for place, (number, one) in enumerate(waiting):
        if isinstance(one, Piece):
            yield Told(number, segments[place])
        else:
            yield one


def collect(told: Iterable[Told], wanted: Wanted, joint: str) -> Iterator[Answer]:
    """Put the segments of each recording together.

    Args:
        told: By `understand_all`.
        wanted: Whether texts are transcripts or translations.
        joint: What stands between two translations.

    Raises:
        UserError: At a recording that could not be read.
    """
    segments: list[Segment] = []
    for one in told:
        if one.segment is not None:
            segments.append(one.segment)
        elif one.error is not None:
            raise one.error
        else:
            yield put_together(tuple(segments), one.duration, joint_of(segments, wanted, joint))
            segments = []


def joint_of(segments: Sequence[Segment], wanted: Wanted, joint: str) -> str:
    """Tell what stands between the texts of two segments: `joint`, if they are translations."""
    if wanted == "translation" or not segments:
        return joint
    return language(segments[0].language).joint
