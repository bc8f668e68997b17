"""The lines of a manifest, read and checked one by one; `manifest` tells what they mean."""

import json
import re
import unicodedata
from codecs import BOM_UTF8
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from speechalign.errors import UserError, noted
from speechalign.files import decoded
from speechalign.languages import language

LONGEST = 1e9  # seconds, 31 years: what is longer is a mistake, and its samples cannot be counted
NOT_WRITTEN = re.compile("[\0\ud800-\udfff]")  # halves of characters have no UTF-8, paths no NUL


class Entry(NamedTuple):
    """One line of a manifest."""

    id: str
    audio: str  # absolute, or relative to the manifest
    duration: float  # seconds
    src_lang: str  # canonical code
    sentence_id: str
    offset: float = 0.0  # seconds into the file
    src_text: str | None = None
    tgt_lang: str | None = None
    tgt_text: str | None = None


class Placed(NamedTuple):
    """An entry, and where it stands."""

    manifest: Path
    line: int
    entry: Entry

    def __str__(self) -> str:
        """Name the place."""
        return f"{self.manifest}:{self.line}"

    @property
    def audio(self) -> Path:
        """Its file, from where the manifest is seen."""
        return self.manifest.parent / self.entry.audio

    @property
    def recording(self) -> tuple[Path, float, str, str, str | None]:
        """What lines of one id have in common."""
        one = self.entry
        return self.audio, one.offset, one.src_lang, one.sentence_id, one.src_text


def read_manifest(file: Path, faults: list[UserError] | None = None) -> list[Placed]:
    """Read and check every line of a manifest; empty lines are passed over.

    Texts are brought to Unicode NFC and stripped, languages to their canonical codes.

    Args:
        file: The manifest.
        faults: Takes the errors of single lines, which are then passed over.

    Raises:
        UserError: If the file cannot be read or is empty, or a line is malformed, with its number.
    """
    read = []
    for number, line in read_lines(file, faults):
        with noted(faults):
            read.append(Placed(file, number, parse(line, f"{file}:{number}")))
    return read


def read_lines(file: Path, faults: list[UserError] | None = None) -> list[tuple[int, str]]:
    """Number the lines that are not empty, from 1; arguments and errors as for `read_manifest`."""
    try:
        rows = file.read_bytes().removeprefix(BOM_UTF8).split(b"\n")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}).") from error
    if not b"".join(rows).strip():
        raise UserError(f"{file}: an empty manifest.")
    numbered = []
    for number, row in enumerate(rows, start=1):
        with noted(faults):
            numbered.append((number, decoded(row, f"{file}:{number}")))
    return [(number, line) for number, line in numbered if line.strip()]


def parse(line: str, place: str) -> Entry:
    """Check one line; `place` names it in errors."""
    fields = parse_object(line, place)
    need(fields, ("id", "audio", "duration", "src_lang"), place)
    target = fields.get("tgt_lang")
    if (target is None) != (fields.get("tgt_text") is None):
        raise UserError(f"{place}: tgt_lang and tgt_text go together.")
    return Entry(
        id=name_in(fields, "id", place),
        audio=name_in(fields, "audio", place),
        duration=seconds_in(fields, "duration", place, above=True),
        src_lang=code_in(fields, "src_lang", place),
        sentence_id=name_in(fields, "sentence_id" if "sentence_id" in fields else "id", place),
        offset=seconds_in(fields, "offset", place) if "offset" in fields else 0.0,
        src_text=text_in(fields, "src_text", place),
        tgt_lang=None if target is None else code_in(fields, "tgt_lang", place),
        tgt_text=text_in(fields, "tgt_text", place),
    )


def parse_object(line: str, place: str) -> dict[str, Any]:
    """Read the fields of one line."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:  # the latter where it is nested too deeply
        raise UserError(f"{place}: no JSON ({error}).") from error
    if not isinstance(fields, dict):
        raise UserError(f"{place}: expected an object, {{…}}, and not {line[:40]!r}.")
    return fields


def need(fields: dict[str, Any], names: tuple[str, ...], place: str) -> None:
    """See that fields are there.

    Raises:
        UserError: If one is not.
    """
    missing = [name for name in names if fields.get(name) is None]
    if missing:
        raise UserError(f"{place}: {', '.join(missing)} must be given.")


def name_in(fields: dict[str, Any], key: str, place: str) -> str:
    """Read a name, which may be written as a whole number."""
    value = fields[key]
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise UserError(f"{place}: {key} is {value!r}; expected a text that is not empty.")
    return written(str(value), key, place)


def seconds_in(fields: dict[str, Any], key: str, place: str, above: bool = False) -> float:
    """Read a time: 0 or more, or `above` 0."""
    value = fields[key]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) <= LONGEST:  # not even true of NaN
        raise UserError(
            f"{place}: {key} is {value!r:.40}; expected seconds, at most {LONGEST:.0e}."
        )
    if value < 0 or (above and value == 0):
        raise UserError(f"{place}: {key} is {value}; expected {'more than' if above else ''} 0 s.")
    return float(value)


def code_in(fields: dict[str, Any], key: str, place: str) -> str:
    """Read a language by any of its codes."""
    try:
        return language(str(fields[key])).code
    except UserError as error:
        raise UserError(f"{place}: {key}: {error}") from error


def text_in(fields: dict[str, Any], key: str, place: str) -> str | None:
    """Read a text, if there is one."""
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise UserError(f"{place}: {key} is {value!r}; expected a text.")
    return unicodedata.normalize("NFC", written(value, key, place)).strip()


def written(text: str, key: str, place: str) -> str:
    """Refuse what JSON can say and no file can hold."""
    wrong = NOT_WRITTEN.search(text)
    if wrong:
        raise UserError(f"{place}: {key} has {wrong[0]!r}, which is no character of a text.")
    return text


def check_recordings(read: Iterable[Placed], faults: list[UserError] | None = None) -> list[Placed]:
    """See that an id names one recording, and is translated once into each language.

    Args:
        read: Lines of all manifests.
        faults: Takes the errors of single lines, which are then left out.

    Raises:
        UserError: If it does not, with both places.
    """
    recordings: dict[str, Placed] = {}
    targets: dict[tuple[str, str | None], Placed] = {}
    kept = []
    for placed in read:
        name = placed.entry.id
        first = recordings.setdefault(name, placed)
        before = targets.setdefault((name, placed.entry.tgt_lang), placed)
        with noted(faults):
            if placed.recording != first.recording:
                raise UserError(f"{placed}: id {name!r} is another recording in {first}.")
            if before is not placed:
                raise UserError(f"{placed}: {name!r}, into the same language, is in {before} too.")
            kept.append(placed)
    return kept
