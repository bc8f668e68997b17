"""What was understood of a recording, with times."""

from typing import NamedTuple


class Word(NamedTuple):
    """A word of an answer, and when what it stands for is spoken, in seconds."""

    text: str
    start: float
    end: float


class Segment(NamedTuple):
    """What was understood of one piece of a recording.

    Attributes:
        start: Where somebody begins to speak, in seconds from the recording's start.
        end: Where they end.
        text: The translation or transcript.
        language: Spoken; canonical code.
        certainty: Where the language was guessed: its probability among those known.
        probability: Of the text, by the LLM: the geometric mean over its tokens.
        doubtful: Whether the text loops or breaks off, however it was asked for.
        temperature: At which the text was found; above 0 where it was sampled.
        source_text: The transcript beside a translation, if both were asked for.
        words: Of the text with their times, if they were asked for.
    """

    start: float
    end: float
    text: str
    language: str
    certainty: float | None
    probability: float
    doubtful: bool = False
    temperature: float = 0.0
    source_text: str | None = None
    words: tuple[Word, ...] = ()


class Answer(NamedTuple):
    """What was understood of one recording.

    Attributes:
        text: All segments together; "" where nobody speaks.
        language: Spoken for most of the time; canonical code, "" where nobody speaks.
        certainty: Where it was guessed: the probability of that, averaged over its time.
        duration: Of the recording, in seconds.
        segments: In order, without overlap; none where nobody speaks.
    """

    text: str
    language: str
    certainty: float | None
    duration: float
    segments: tuple[Segment, ...] = ()

    def __str__(self) -> str:
        """The text alone."""
        return self.text

    @property
    def no_speech(self) -> bool:
        """Whether nobody speaks in the recording."""
        return not self.segments


def put_together(segments: tuple[Segment, ...], duration: float, joint: str = " ") -> Answer:
    """Make one answer of segments.

    Args:
        segments: Of one recording, in order.
        duration: Of the recording, in seconds.
        joint: What stands between two texts; nothing in a language written without spaces.
    """
    text = joint.join(segment.text for segment in segments if segment.text)
    seconds: dict[str, float] = {}
    for one in segments:
        seconds[one.language] = seconds.get(one.language, 0.0) + one.end - one.start
    spoken = max(seconds, key=lambda code: seconds[code], default="")
    weighed = [
        (one.certainty, one.end - one.start)
        for one in segments
        if one.language == spoken and one.certainty is not None
    ]
    total = sum(weight for _, weight in weighed)
    certainty = sum(sure * weight for sure, weight in weighed) / total if total else None
    return Answer(text, spoken, certainty, duration, segments)
