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
from collections.abc import Iterable, Iterator
from copy import copy
from pathlib import Path

from speechalign.assets import resolve
from speechalign.data.archive import ArchiveMember, open_archive
from speechalign.data.manifest_lines import Entry, Placed, check_recordings, read_manifest
from speechalign.data.records import Source, Utterance
from speechalign.errors import UserError
from speechalign.files import seen_from, write_text

ARCHIVES = (".tar", ".tar.gz", ".tgz")


class LostError(UserError):
    """An archive is whole, and a recording is not in it."""


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
        self._keeps_missing = False
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

    def with_missing(self) -> "Manifest":
        """List a recording also if the archive that it should be in lacks it."""
        whole = copy(self)
        whole._keeps_missing = True
        return whole

    def utterances(self, language: str, split: str) -> list[Utterance]:
        """List the recordings of one language in the order of the manifests.

        Raises:
            UserError: If the split has none of the language, or a manifest is malformed.
        """
        spoken: dict[str, Placed] = {}
        for placed in self._of(language, split):
            if placed.entry.src_lang == language:
                spoken.setdefault(placed.entry.id, placed)
        keep = self._keeps_missing
        return [utterance_of(placed, self._archives, keep) for placed in spoken.values()]

    def has_audio(self, language: str, split: str) -> bool:
        """Whether a split has recordings of a language, which others may be translated into.

        Raises:
            UserError: If the language is in no split, or a manifest is malformed.
        """
        there = split in self.splits(language)
        return there and any(placed.entry.src_lang == language for placed in self._read(split))

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
            self._placed[split] = check_recordings(read)
        return self._placed[split]


def utterance_of(
    placed: Placed, archives: dict[Path, dict[str, ArchiveMember]], keep_missing: bool = False
) -> Utterance:
    """Make a record of a line.

    Args:
        placed: The line.
        archives: Those opened so far; takes another if the recording lies in one.
        keep_missing: Whether to make one that cannot be read if an archive does not have it.

    Raises:
        UserError: If it lies in an archive that is damaged or does not have it.
    """
    entry = placed.entry
    return Utterance(
        id=entry.id,
        sentence_id=entry.sentence_id,
        language=entry.src_lang,
        audio=audio_of(placed, archives, keep_missing),
        start=entry.offset,
        duration=entry.duration,
        text=entry.src_text or "",
        normalized_text="",
        speaker_gender="other",
    )


def audio_of(
    placed: Placed, archives: dict[Path, dict[str, ArchiveMember]], keep_missing: bool
) -> Path | ArchiveMember:
    """Find the audio of a line; arguments and errors as for `utterance_of`."""
    path = placed.audio
    archive = next((p for p in path.parents if p.name.endswith(ARCHIVES) and p.is_file()), None)
    if archive is None:
        return path
    if archive not in archives:
        archives[archive] = open_archive(archive)
    name = path.relative_to(archive).as_posix()
    if name not in archives[archive]:
        if keep_missing:
            return path
        raise LostError(f"{placed}: there is no {name!r} in {archive}.")
    return archives[archive][name]


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


def write_manifest(file: Path, entries: Iterable[Entry]) -> None:
    """Write a manifest, which appears whole or not at all; fields that say nothing are left out.

    Absolute paths of audio become relative to the manifest, so that both can move together.

    Raises:
        UserError: If it cannot be written.
    """
    name, lines = seen_from(file.absolute().parent), []
    for entry in entries:
        fields = {k: v for k, v in entry._asdict().items() if v is not None}
        if Path(entry.audio).is_absolute():
            fields["audio"] = name(Path(entry.audio))
        lines.append(json.dumps(fields, ensure_ascii=False) + "\n")
    try:
        write_text(file, "".join(lines))
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}).") from error
