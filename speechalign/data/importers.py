"""Manifests of other projects become ours.

NeMo (Canary): `{"audio_filepath", "duration", "text" or "answer", "offset"?, "source_lang"?,
"target_lang"?}`, where the text is a transcript if both languages are the same, and else a
translation. LLM-SRT: `{"audio", "gt": "transcript<|eng|><|cmn|>translation"}`, or, to transcribe,
`{"audio", "prompt": "<|eng|>", "gt": "transcript"}`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import soundfile

from speechalign.data.manifest_lines import (
    Entry,
    Placed,
    check_recordings,
    code_in,
    name_in,
    need,
    parse_object,
    read_lines,
    seconds_in,
    text_in,
)
from speechalign.errors import UserError
from speechalign.files import seen_from

PAIR = re.compile(
    r"^(?P<said>.*)<\|(?P<source>[^|]+)\|><\|(?P<target>[^|]+)\|>(?P<meant>.*)$", re.DOTALL
)
ONE = re.compile(r"^<\|(?P<source>[^|]+)\|>$")


def import_manifests(
    kind: str, files: Sequence[Path], output: Path, source: str | None = None
) -> list[Entry]:
    """Read manifests of another project, which become one of ours.

    The id of a recording is its file as seen from our manifest, since two folders may both have a
    `0.wav`. Of lines that transcribe a recording and such that translate it, the latter get both.

    Args:
        kind: Of `READERS`: whose they are.
        files: The manifests; audio is relative to the folder of its own.
        output: Our manifest.
        source: Language of the speech where a line names none.

    Raises:
        UserError: If a file cannot be read, or a line lacks something or contradicts another, with
            its number.
    """
    name, read = seen_from(output.absolute().parent), []
    for file in files:
        for number, line in read_lines(file):
            place = f"{file}:{number}"
            entry = READERS[kind](parse_object(line, place), file.parent.absolute(), place, source)
            own = name(Path(entry.audio)) + (f"@{entry.offset!r}" if entry.offset else "")
            read.append(Placed(file, number, entry._replace(id=own, sentence_id=own)))
    return [placed.entry for placed in check_recordings(joined(read))]


def joined(read: Sequence[Placed]) -> Iterator[Placed]:
    """Give lines that translate a recording its transcript, instead of a line of its own."""
    said: dict[tuple[str, str], str] = {}
    translated = set[tuple[str, str]]()
    for _, _, entry in read:
        key = entry.id, entry.src_lang
        if entry.src_text is not None:
            said.setdefault(key, entry.src_text)
        if entry.tgt_lang is not None:
            translated.add(key)
    for placed in read:
        entry = placed.entry
        key = entry.id, entry.src_lang
        beside = entry.tgt_lang is None and key in translated  # is told by other lines
        if entry.src_text is None:
            yield placed._replace(entry=entry._replace(src_text=said.get(key)))
        elif not beside or entry.src_text != said[key]:
            yield placed


def read_nemo(fields: dict[str, Any], folder: Path, place: str, source: str | None) -> Entry:
    """Read a line of NeMo.

    Args:
        fields: What it says.
        folder: That of the manifest.
        place: Names the line in errors.
        source: Language of the speech if the line names none.

    Raises:
        UserError: If it lacks something.
    """
    fields = {"source_lang": source, "text": fields.get("answer")} | fields
    need(fields, ("audio_filepath", "source_lang", "text"), place)
    spoken = code_in(fields, "source_lang", place)
    meant = code_in(fields, "target_lang", place) if fields.get("target_lang") else spoken
    text = text_in(fields, "text", place)
    audio = folder / name_in(fields, "audio_filepath", place)
    return Entry(
        id=str(audio),
        audio=str(audio),
        duration=duration_in(fields, audio, place),
        src_lang=spoken,
        sentence_id=str(audio),
        offset=seconds_in(fields, "offset", place) if "offset" in fields else 0.0,
        src_text=text if meant == spoken else None,
        tgt_lang=None if meant == spoken else meant,
        tgt_text=None if meant == spoken else text,
    )


def read_llm_srt(fields: dict[str, Any], folder: Path, place: str, source: str | None) -> Entry:
    """Read a line of LLM-SRT; arguments and errors as for `read_nemo`."""
    need(fields, ("audio", "gt"), place)
    audio = folder / name_in(fields, "audio", place)
    answer = text_in(fields, "gt", place) or ""
    both, one = PAIR.match(answer), ONE.match(str(fields.get("prompt", "")))
    spoken = both["source"] if both else one["source"] if one else source
    if spoken is None:
        raise UserError(f"{place}: neither gt nor prompt tells a language: give it.")
    return Entry(
        id=str(audio),
        audio=str(audio),
        duration=duration_in(fields, audio, place),
        src_lang=code_in({"language": spoken}, "language", place),
        sentence_id=str(audio),
        src_text=(both["said"] if both else answer).strip(),
        tgt_lang=code_in({"language": both["target"]}, "language", place) if both else None,
        tgt_text=both["meant"].strip() if both else None,
    )


READERS: dict[str, Callable[[dict[str, Any], Path, str, str | None], Entry]] = {
    "nemo": read_nemo,
    "llm-srt": read_llm_srt,
}


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
