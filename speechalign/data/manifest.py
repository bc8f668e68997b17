"""JSON-lines manifests: any recordings with their texts, one a line, are a corpus.

    {"id": "a1", "audio": "clips/a.wav", "offset": 1.5, "duration": 3.2, "sentence_id": "17",
     "src_lang": "deu", "src_text": "Guten Morgen.", "tgt_lang": "eng", "tgt_text": "Good morning."}

`id`, `audio`, `duration` (seconds) and `src_lang` must be there. `audio` is relative to the
manifest's folder; `clips.tar.gz/a.wav` is a file in an archive. Recordings with equal `sentence_id`
(by default the `id`) say the same, in any languages and any of the files: they are the parallel
pairs. A recording that is translated into several languages has a line for each, with one `id`.
Unknown keys are passed over.
"""

import json
import math
import os
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from speechalign.assets import resolve
from speechalign.data.archive import ArchiveMember, open_archive
from speechalign.data.records import Source, Utterance
from speechalign.errors import UserError
from speechalign.files import write_text
from speechalign.languages import language

ARCHIVES = (".tar", ".tar.gz", ".tgz")


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


class Manifest(Source):
    """A corpus told by manifests."""

    def __init__(self, files: dict[str, list[str]]):
        """Remember where the manifests are; they are read when asked for.

        Args:
            files: Manifests by split, as `{train: [deu.jsonl, fra.jsonl], dev: [dev.jsonl]}`.

        Raises:
            UserError: If none is named.
        """
        if not any(files.values()):
            raise UserError("`files` names no manifest: give some by split, {train: [FILE, …]}.")
        self.files = files
        self._placed: dict[str, list[Placed]] = {}
        self._archives: dict[Path, dict[str, ArchiveMember]] = {}

    def languages(self) -> list[str]:
        """List the languages that are spoken, by canonical code.

        Raises:
            UserError: If a manifest is malformed.
        """
        return sorted({
            placed.entry.src_lang for split in self.files for placed in self._read(split)
        })

    def splits(self, language: str) -> list[str]:
        """List the splits in which a language is spoken or translated into.

        Raises:
            UserError: If the language is in none, or a manifest is malformed.
        """
        there = {split: self._languages(split) for split in self.files}
        found = sorted(split for split, codes in there.items() if language in codes)
        if not found:
            known = ", ".join(sorted(set[str]().union(*there.values())))
            raise UserError(f"No manifest has {language!r}; there is {known}.")
        return found

    def utterances(self, language: str, split: str) -> list[Utterance]:
        """List the recordings of one language in the order of the manifests.

        Raises:
            UserError: If the split has none of the language, or a manifest is malformed.
        """
        spoken: dict[str, Placed] = {}
        for placed in self._of(language, split):
            if placed.entry.src_lang == language:
                spoken.setdefault(placed.entry.id, placed)
        return [self._utterance(placed) for placed in spoken.values()]

    def texts(self, language: str, split: str) -> dict[str, str]:
        """Map sentence ids to texts, spoken or translated; needs no audio.

        Raises:
            UserError: If the split has none of the language, or a manifest is malformed.
        """
        texts: dict[str, str] = {}
        for placed in self._of(language, split):
            entry = placed.entry
            for code, text in ((entry.src_lang, entry.src_text), (entry.tgt_lang, entry.tgt_text)):
                if code == language and text is not None:
                    texts.setdefault(entry.sentence_id, text)
        return texts

    def _languages(self, split: str) -> set[str]:
        codes = {code for p in self._read(split) for code in (p.entry.src_lang, p.entry.tgt_lang)}
        return {code for code in codes if code}

    def _of(self, language: str, split: str) -> list[Placed]:
        there = self.splits(language)
        if split not in there:
            raise UserError(f"{split}: no manifest has {language!r}; {', '.join(there)} has it.")
        return self._read(split)

    def _read(self, split: str) -> list[Placed]:
        if split not in self._placed:
            read = [p for file in self.files[split] for p in read_manifest(Path(resolve(file)))]
            check_recordings(read)
            self._placed[split] = read
        return self._placed[split]

    def _utterance(self, placed: Placed) -> Utterance:
        entry = placed.entry
        return Utterance(
            id=entry.id,
            sentence_id=entry.sentence_id,
            language=entry.src_lang,
            audio=self._audio(placed),
            start=entry.offset,
            duration=entry.duration,
            text=entry.src_text or "",
            normalized_text="",
            speaker_gender="other",
        )

    def _audio(self, placed: Placed) -> Path | ArchiveMember:
        path = placed.manifest.parent / placed.entry.audio
        archive = next((p for p in path.parents if p.name.endswith(ARCHIVES) and p.is_file()), None)
        if archive is None:
            return path
        if archive not in self._archives:
            self._archives[archive] = open_archive(archive)
        name = path.relative_to(archive).as_posix()
        if name not in self._archives[archive]:
            raise UserError(f"{placed}: there is no {name!r} in {archive}.")
        return self._archives[archive][name]


def entries(source: Source, code: str, split: str, target: str | None = None) -> Iterator[Entry]:
    """List the recordings of a language in any corpus, with their translations if there are any.

    Args:
        source: The corpus.
        code: The language spoken.
        split: The split.
        target: The language of the translations.

    Raises:
        UserError: If the corpus lacks one of the languages or the split.
    """
    translations = {} if target is None else source.texts(target, split)
    for utterance in source.utterances(code, split):
        translation = translations.get(utterance.sentence_id)
        yield Entry(
            id=utterance.id,
            audio=str(Path(utterance.place).absolute()),
            duration=utterance.duration,
            src_lang=utterance.language,
            sentence_id=utterance.sentence_id,
            offset=utterance.start,
            src_text=utterance.text or None,
            tgt_lang=None if translation is None else target,
            tgt_text=translation,
        )


def read_manifest(file: Path) -> list[Placed]:
    """Read and check every line of a manifest; empty lines are passed over.

    Texts are brought to Unicode NFC and stripped, languages to their canonical codes.

    Raises:
        UserError: If the file cannot be read or is empty, or a line is malformed, with its number.
    """
    return [Placed(file, n, parse(line, f"{file}:{n}")) for n, line in read_lines(file)]


def read_lines(file: Path) -> list[tuple[int, str]]:
    """Number the lines that are not empty, from 1.

    Raises:
        UserError: If the file cannot be read, or has none.
    """
    try:
        lines = file.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 at byte {error.start}.") from error
    numbered = [(n, line) for n, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        raise UserError(f"{file}: an empty manifest.")
    return numbered


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
    except ValueError as error:
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
    return str(value)


def seconds_in(fields: dict[str, Any], key: str, place: str, above: bool = False) -> float:
    """Read a time: 0 or more, or `above` 0."""
    value = fields[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{place}: {key} is {value!r}; expected seconds.")
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
    return unicodedata.normalize("NFC", value).strip()


def check_recordings(read: Iterable[Placed]) -> None:
    """See that an id names one recording, and is translated once into each language.

    Raises:
        UserError: If it does not, with both places.
    """
    recordings: dict[str, Placed] = {}
    targets: dict[tuple[str, str | None], Placed] = {}
    for placed in read:
        entry = placed.entry
        first = recordings.setdefault(entry.id, placed)
        own, other = (
            (p.manifest.parent / p.entry.audio, p.entry.offset, p.entry.src_lang, p.entry.src_text)
            for p in (placed, first)
        )
        if own != other or entry.sentence_id != first.entry.sentence_id:
            raise UserError(f"{placed}: id {entry.id!r} is another recording in {first}.")
        before = targets.setdefault((entry.id, entry.tgt_lang), placed)
        if before is not placed:
            raise UserError(f"{placed}: {entry.id!r}, into the same language, is in {before} too.")


def write_manifest(file: Path, entries: Iterable[Entry]) -> None:
    """Write a manifest, which appears whole or not at all; fields that say nothing are left out.

    Absolute paths of audio become relative to the manifest, so that both can move together.
    """
    lines = []
    for entry in entries:
        fields = {k: v for k, v in entry._asdict().items() if v is not None}
        if Path(entry.audio).is_absolute():
            fields["audio"] = os.path.relpath(entry.audio, file.absolute().parent)
        lines.append(json.dumps(fields, ensure_ascii=False) + "\n")
    write_text(file, "".join(lines))
