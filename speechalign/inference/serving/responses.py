"""Answers in the forms of OpenAI's API: json, text, subtitles, verbose_json, and events."""

import json
import logging
import math
import zlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from starlette.responses import JSONResponse, PlainTextResponse, Response

from speechalign.inference import subtitles
from speechalign.inference.answers import Answer, Segment, put_together
from speechalign.inference.long_audio import joint_of
from speechalign.inference.serving.errors import refusal
from speechalign.inference.serving.fields import Wish
from speechalign.languages import language

logger = logging.getLogger(__name__)


def finished(segments: list[Segment], duration: float, wish: Wish) -> Answer:
    """Put the segments of a recording together, as `Translator` does."""
    return put_together(tuple(segments), duration, between(segments, wish))


def between(segments: list[Segment], wish: Wish) -> str:
    """Tell what stands between the texts of two segments."""
    return joint_of(segments, wish.wanted, wish.target.joint if wish.target else " ")


def written(answer: Answer, wish: Wish) -> Response:
    """Write an answer in the form that is wanted.

    Args:
        answer: About one recording.
        wish: What was wanted.
    """
    if wish.form == "text":
        return PlainTextResponse(f"{answer.text}\n")
    if wish.form in ("srt", "vtt"):
        cues = subtitles.cues(answer.segments, wish.target.code if wish.target else None)
        if wish.form == "srt":
            return PlainTextResponse(subtitles.srt(cues))
        return PlainTextResponse(subtitles.vtt(cues), media_type="text/vtt")
    told: dict[str, Any] = {"text": answer.text}
    if wish.form == "verbose_json":
        told = verbose(answer, wish)
    told["usage"] = usage(answer)
    if wish.cautions:
        told["cautions"] = wish.cautions
    return JSONResponse(told)


def usage(answer: Answer) -> dict[str, Any]:
    """Tell how long the recording was, in whole seconds."""
    return {"type": "duration", "seconds": math.ceil(answer.duration)}


def verbose(answer: Answer, wish: Wish) -> dict[str, Any]:
    """Write all that is known of an answer, with OpenAI's names where it has them."""
    code = wish.target.code if wish.target else answer.language
    told = {
        "task": "translate" if wish.target else "transcribe",
        "language": language(code).name.lower() if code else "",  # of the text, as OpenAI has it
        "duration": round(answer.duration, 3),
        "text": answer.text,
    }
    if "word" in wish.granularities:
        told["words"] = [
            {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)}
            for segment in answer.segments
            for word in segment.words
        ]
    if "segment" in wish.granularities:
        told["segments"] = [as_segment(number, one) for number, one in enumerate(answer.segments)]
    return told


def as_segment(number: int, segment: Segment) -> dict[str, Any]:
    """Write a segment with OpenAI's fields that are known, and with ours that it has none for.

    What only Whisper's decoder knows, `seek`, `tokens` and `no_speech_prob`, is null.
    """
    return {
        "id": number,
        "seek": None,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": None,
        "temperature": segment.temperature,
        "avg_logprob": math.log(max(segment.probability, 1e-30)),
        "compression_ratio": compression(segment.text) if segment.text else 0.0,
        "no_speech_prob": None,
        "language": segment.language,
        "certainty": segment.certainty,
        "doubtful": segment.doubtful,
    }


def compression(text: str) -> float:
    """How many times smaller a text is when it is compressed, as Whisper has it: of its bytes."""
    content = text.encode()
    return len(content) / len(zlib.compress(content))


async def events(told: AsyncIterable[Segment], duration: float, wish: Wish) -> AsyncIterator[bytes]:
    """Tell segments as they come, as server-sent events.

    All deltas together are the text of the last event. An error, which then has no status left to
    be told by, is an event too, and the last.

    Args:
        told: Segments of one recording, in order.
        duration: Of the recording, in seconds.
        wish: What was wanted.
    """
    segments: list[Segment] = []
    begun = False
    try:
        async for segment in told:
            segments.append(segment)
            if segment.text:
                joint = between(segments, wish) if begun else ""
                yield event({"type": "transcript.text.delta", "delta": joint + segment.text})
                begun = True
    except Exception as error:
        fault = refusal(error)
        if fault.status == 500:
            logger.exception("A request could not be answered.")
        yield event(fault.body())
        return
    answer = finished(segments, duration, wish)
    last: dict[str, Any] = {"type": "transcript.text.done", "text": answer.text}
    last["usage"] = usage(answer)
    if wish.cautions:
        last["cautions"] = wish.cautions
    yield event(last)


def event(told: dict[str, Any]) -> bytes:
    """Write one event."""
    kind = told.get("type", "error")
    return f"event: {kind}\ndata: {json.dumps(told, ensure_ascii=False)}\n\n".encode()
