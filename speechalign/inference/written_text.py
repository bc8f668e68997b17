"""Answers as texts of several formats."""

import json
from typing import Any, Literal

from speechalign.inference import subtitles
from speechalign.inference.answers import Answer, Segment, Word

Format = Literal["txt", "srt", "vtt", "tsv", "json"]
FORMATS: tuple[Format, ...] = ("txt", "srt", "vtt", "tsv", "json")


def rendered(answer: Answer, ending: str, target: str | None, width: int) -> str:
    """Write an answer in one format."""
    if ending == "srt":
        return subtitles.srt(subtitles.cues(answer.segments, target, width))
    if ending == "vtt":
        return subtitles.vtt(subtitles.cues(answer.segments, target, width))
    if ending == "tsv":
        return subtitles.tsv(answer.segments)
    if ending == "json":
        told = as_json(answer, target)
        return json.dumps(told, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    return answer.text if len(answer.segments) < 2 else "\n".join(
        segment.text for segment in answer.segments if segment.text
    )  # fmt: skip


def as_json(answer: Answer, target: str | None) -> dict[str, Any]:
    """Write an answer as plain data, with Whisper's names where it has them.

    Args:
        answer: The answer.
        target: Language of a translation; None: the text is in that of the speech.
    """
    segments = [
        {"id": number, **plain(one), "words": [plain(word) for word in one.words]}
        for number, one in enumerate(answer.segments)
    ]
    told = {**plain(answer), "no_speech": answer.no_speech}
    return told | {"target_language": target or answer.language, "segments": segments}


def plain(one: Answer | Segment | Word) -> dict[str, Any]:
    """Give fields by name; milliseconds are as exact as times are."""
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in one._asdict().items()
    }
