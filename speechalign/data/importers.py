"""Manifests of other projects become ours.

NeMo (Canary): `{"audio_filepath", "duration", "text" or "answer", "offset"?, "source_lang"?,
"target_lang"?}`, where the text is a transcript if both languages are the same, and else a
translation. LLM-SRT: `{"audio", "gt": "transcript<|eng|><|cmn|>translation"}`, or, to transcribe,
`{"audio", "prompt": "<|eng|>", "gt": "transcript"}`.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import soundfile

from speechalign.data.manifest_lines import (
    Entry,
    code_in,
    name_in,
    need,
    parse_object,
    read_lines,
    seconds_in,
    text_in,
)
from speechalign.errors import UserError

PAIR = re.compile(
    r"^(?P<said>.*)<\|(?P<source>[^|]+)\|><\|(?P<target>[^|]+)\|>(?P<meant>.*)$", re.DOTALL
)
ONE = re.compile(r"^<\|(?P<source>[^|]+)\|>$")


def import_nemo(file: Path, source: str | None = None) -> Iterator[Entry]:
    """Read a manifest of NeMo.

    Args:
        file: The manifest; its audio is relative to its folder.
        source: Language of the speech where a line names none.

    Raises:
        UserError: If the file cannot be read, or a line lacks something, with its number.
    """
    for place, fields in objects(file):
        fields = {"source_lang": source, "text": fields.get("answer")} | fields
        need(fields, ("audio_filepath", "source_lang", "text"), place)
        spoken = code_in(fields, "source_lang", place)
        written = code_in(fields, "target_lang", place) if fields.get("target_lang") else spoken
        text = text_in(fields, "text", place)
        offset = seconds_in(fields, "offset", place) if "offset" in fields else 0.0
        audio = name_in(fields, "audio_filepath", place)
        name = f"{audio}@{offset:g}" if offset else audio
        yield Entry(
            id=name,
            audio=str(file.parent.absolute() / audio),
            duration=duration_in(fields, file.parent / audio, place),
            src_lang=spoken,
            sentence_id=name,
            offset=offset,
            src_text=text if written == spoken else None,
            tgt_lang=None if written == spoken else written,
            tgt_text=None if written == spoken else text,
        )


def import_llm_srt(file: Path, source: str | None = None) -> Iterator[Entry]:
    """Read a manifest of LLM-SRT; arguments and errors as for `import_nemo`."""
    for place, fields in objects(file):
        need(fields, ("audio", "gt"), place)
        audio, answer = name_in(fields, "audio", place), text_in(fields, "gt", place) or ""
        both, one = PAIR.match(answer), ONE.match(str(fields.get("prompt", "")))
        spoken = both["source"] if both else one["source"] if one else source
        if spoken is None:
            raise UserError(f"{place}: neither gt nor prompt tells a language: give it.")
        yield Entry(
            id=audio,
            audio=str(file.parent.absolute() / audio),
            duration=duration_in(fields, file.parent / audio, place),
            src_lang=code_in({"language": spoken}, "language", place),
            sentence_id=audio,
            src_text=(both["said"] if both else answer).strip(),
            tgt_lang=code_in({"language": both["target"]}, "language", place) if both else None,
            tgt_text=both["meant"].strip() if both else None,
        )


IMPORTERS: dict[str, Callable[[Path, str | None], Iterator[Entry]]] = {
    "nemo": import_nemo,
    "llm-srt": import_llm_srt,
}


def objects(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the lines of a JSON-lines file: (place for errors, fields)."""
    for number, line in read_lines(file):
        place = f"{file}:{number}"
        yield place, parse_object(line, place)


def duration_in(fields: dict[str, Any], audio: Path, place: str) -> float:
    """Read the duration, or ask the file for it.

    Raises:
        UserError: If neither tells.
    """
    if fields.get("duration") is not None:
        return seconds_in(fields, "duration", place, above=True)
    try:
        return soundfile.info(str(audio)).duration
    except (RuntimeError, OSError) as error:
        raise UserError(f"{place}: the duration of {audio} cannot be told ({error}).") from error
