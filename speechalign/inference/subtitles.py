"""Segments as cues of subtitles: short lines, shown while what they say is spoken.

A cue has two lines of 42 characters at most, as the guidelines of broadcasters have it. A segment
with more text is shown in several cues, which begin where their first words are spoken.
"""

import textwrap
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from speechalign.inference.answers import Segment
from speechalign.languages import language

WIDTH = 42  # characters of a line
LINES = 2  # of a cue
CLOSING = ("Pe", "Pf", "Po")  # categories of marks that do not begin a line


class Cue(NamedTuple):
    """What is shown for a time."""

    start: float  # seconds
    end: float
    lines: tuple[str, ...]


def cues(segments: Sequence[Segment], target: str | None, width: int = WIDTH) -> Iterator[Cue]:
    """Turn segments into cues.

    Args:
        segments: Of one recording, in order.
        target: Code of the language of translations; None: texts are in the language spoken.
        width: Characters of a line at most. Those of Chinese, Japanese and Korean count twice, as
            they are twice as wide.

    Yields:
        Cues in order, without overlap. Where segments have a `source_text`, it stands above the
        translation, as far as its share goes.
    """
    for segment in segments:
        if not segment.text:
            continue
        lines = wrapped(segment.text, bool(language(target or segment.language).joint), width)
        shown = [lines[at : at + LINES] for at in range(0, len(lines), LINES)]
        spaced = bool(language(segment.language).joint)
        above = shares(segment.source_text or "", len(shown), spaced, width)
        times = [*starts(segment, shown), segment.end]
        for place, below in enumerate(shown):
            yield Cue(times[place], times[place + 1], (*above[place], *below))


def shares(text: str, count: int, spaced: bool, width: int) -> list[list[str]]:
    """Part a text into so many shares of like length, and each into lines."""
    units = text.split() if spaced else list(text)
    bounds = [len(units) * place // count for place in range(count + 1)]
    joint = " " if spaced else ""
    return [
        wrapped(joint.join(units[first:last]), spaced, width) for first, last in pairwise(bounds)
    ]


def starts(segment: Segment, shown: Sequence[Sequence[str]]) -> list[float]:
    """Tell when each cue of a segment begins: with its first word, or by its share of the text."""
    lengths = [sum(len("".join(line.split())) for line in lines) for lines in shown]
    before = [sum(lengths[:place]) for place in range(len(lengths))]
    span = segment.end - segment.start
    if not segment.words:
        return [segment.start + span * count / max(1, sum(lengths)) for count in before]
    ends = list(accumulate(len(word.text) for word in segment.words))
    return [segment.words[bisect_right(ends, count)].start for count in before]


def wrapped(text: str, spaced: bool, width: int) -> list[str]:
    """Break a text into lines of like length; a word that is longer than a line is broken."""
    if not spaced:
        return by_character(text, width)
    fewest = textwrap.wrap(text, width)
    for narrower in range(-(-len(text) // max(1, len(fewest))), width):
        lines = textwrap.wrap(text, max(1, narrower))
        if len(lines) == len(fewest):
            return lines
    return fewest


def by_character(text: str, width: int) -> list[str]:
    """Break a text without spaces, but not before a punctuation mark that ends something."""
    lines, line, taken = [], "", 0
    for character in " ".join(text.split()):
        wide = 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
        if taken + wide > width:
            kept = len(line) if unicodedata.category(character) not in CLOSING else len(line) - 1
            lines.append(line[:kept])
            line = line[kept:]
            taken = 2 * len(line)
        line, taken = line + character, taken + wide
    return [one for one in [*lines, line] if one]


def srt(shown: Iterable[Cue]) -> str:
    """Write cues as SubRip."""
    return "".join(
        f"{number}\n{clock(cue.start, ',')} --> {clock(cue.end, ',')}\n{text_of(cue)}\n\n"
        for number, cue in enumerate(shown, start=1)
    )


def vtt(shown: Iterable[Cue]) -> str:
    """Write cues as WebVTT (W3C), whose text has three characters that must be escaped."""
    escapes = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    return "WEBVTT\n\n" + "".join(
        f"{clock(cue.start, '.')} --> {clock(cue.end, '.')}\n{text_of(cue).translate(escapes)}\n\n"
        for cue in shown
    )


def text_of(cue: Cue) -> str:
    """Give the lines of a cue; an arrow in them would be read as a time."""
    return "\n".join(cue.lines).replace("-->", "→")


def clock(seconds: float, mark: str) -> str:
    """Write a time as hours, minutes, seconds and milliseconds."""
    whole = round(seconds * 1000)
    return (
        f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}"
        f"{mark}{whole % 1000:03}"
    )


def tsv(segments: Iterable[Segment]) -> str:
    """Write segments as Whisper's TSV: milliseconds and text."""
    rows = [
        f"{round(one.start * 1000)}\t{round(one.end * 1000)}\t{' '.join(one.text.split())}\n"
        for one in segments
        if one.text
    ]
    return "".join(["start\tend\ttext\n", *rows])
