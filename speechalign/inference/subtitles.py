"""Segments as cues of subtitles: short lines, shown while what they say is spoken.

A cue has two lines of 42 characters at most, of each language, as the guidelines of broadcasters
have it. A segment with more text is shown in several cues, which begin where their first words are
spoken.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from speechalign.inference.answers import Segment
from speechalign.languages import language

WIDTH = 42  # characters of a line
LINES = 2  # of a cue, in each language
SHORTEST = 0.5  # seconds of a cue, if its segment has as many for each
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
        own = language(segment.language).joint
        joint = language(target).joint if target else own
        below = wrapped(segment.text, bool(joint), width)
        shown = [below[at : at + LINES] for at in range(0, len(below), LINES)]
        above: list[list[str]] = [[]] * len(shown)
        if segment.source_text:
            texts = (segment.source_text, own), (segment.text, joint)
            above, shown = together(texts, len(shown), width)
        times = [*starts(segment, shown), segment.end]
        for place, (start, end) in enumerate(pairwise(apart(times))):
            yield Cue(start, end, (*above[place], *shown[place]))


def together(
    texts: Sequence[tuple[str, str]], fewest: int, width: int
) -> tuple[list[list[str]], list[list[str]]]:
    """Part two texts into equally many cues, as many as the longer one needs.

    Args:
        texts: The upper and the lower, each with what stands between its words.
        fewest: Cues at least.
        width: Characters of a line at most.
    """
    number = fewest
    while True:  # at last a share has one unit, which is no longer than a line
        above, below = (shares(text, number, joint, width) for text, joint in texts)
        if all(len(lines) <= LINES for lines in (*above, *below)):
            filled = [pair for pair in zip(above, below, strict=True) if any(pair)]
            return [upper for upper, _ in filled], [lower for _, lower in filled]
        number += 1


def shares(text: str, cues_of_it: int, joint: str, width: int) -> list[list[str]]:
    """Part a text into so many shares of like length, and each into lines."""
    units = list(text)
    if joint:
        units = [part for word in text.split() for part in by_character(word, width)]
    bounds = [len(units) * place // cues_of_it for place in range(cues_of_it + 1)]
    return [
        wrapped(joint.join(units[first:last]), bool(joint), width)
        for first, last in pairwise(bounds)
    ]


def apart(times: Sequence[float]) -> list[float]:
    """Move times so that each cue is shown long enough: the first and the last one stay.

    Words that are spoken together, or are nowhere heard, would leave a cue no time.

    Args:
        times: Where cues begin and, at last, where the last ends; in order.
    """
    least = min(SHORTEST, (times[-1] - times[0]) / (len(times) - 1))
    moved = list(times)
    for place in range(1, len(moved) - 1):
        moved[place] = max(moved[place], moved[place - 1] + least)
    for place in range(len(moved) - 2, 0, -1):
        moved[place] = min(moved[place], moved[place + 1] - least)
    return moved


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
    fewest = by_word(text, width)
    for narrower in range(-(-wide(text) // max(1, len(fewest))), width):
        lines = by_word(text, max(1, narrower))
        if len(lines) == len(fewest):
            return lines
    return fewest


def wide(text: str) -> int:
    """Count the columns that a text takes: two for a character of Chinese, Japanese or Korean."""
    return sum(2 if unicodedata.east_asian_width(one) in ("W", "F") else 1 for one in text)


def by_word(text: str, width: int) -> list[str]:
    """Break a text between its words."""
    lines: list[str] = []
    for word in text.split():
        if lines and wide(lines[-1]) + 1 + wide(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines += by_character(word, width)
    return lines


def by_character(text: str, width: int) -> list[str]:
    """Break a text without spaces, but not before a punctuation mark that ends something."""
    lines, line = [], ""
    for character in " ".join(text.split()):
        if wide(line + character) > width and line:
            closes = unicodedata.category(character) in CLOSING and len(line) > 1
            kept = len(line) - 1 if closes else len(line)
            lines.append(line[:kept])
            line = line[kept:]
        line += character
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
