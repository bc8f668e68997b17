"""FLEURS as it is released: TSV files and recordings on disk become Utterances.

Layout (Conneau et al. 2022), the first folder optional:

    data/<locale>/{train,dev,test}.tsv
    data/<locale>/audio/<split>/<file>        or audio/<split>.tar.gz (.tar) with <split>/<file>

A TSV has no header and no quoting, and 7 columns: sentence id, file, raw transcription, normalised
transcription, the latter spelled (`a b | c |`), number of 16 kHz samples, gender.
Texts are brought to Unicode NFC and stripped; nothing else is done to them.
"""

import unicodedata
from pathlib import Path
from typing import NamedTuple

from speechalign.assets import resolve
from speechalign.data.archive import ArchiveMember, open_archive
from speechalign.data.records import Source, Utterance
from speechalign.errors import UserError
from speechalign.languages import LANGUAGES, language

SAMPLE_RATE = 16_000  # of the column of samples, whatever the rate of the files
GENDERS = ("male", "female", "other")


class Row(NamedTuple):
    """One line of a FLEURS TSV."""

    place: str  # file and line, for errors
    sentence_id: str
    file: str
    text: str
    normalized_text: str
    samples: int
    gender: str


class Fleurs(Source):
    """A FLEURS folder."""

    def __init__(self, root: str, cache_dir: str | None = None):
        """Remember where the corpus is; it is read when asked for.

        Args:
            root: The release's folder, with or without its `data/`; `assets:` paths are resolved.
            cache_dir: Where archives are decompressed; by default `default_cache_dir()`.
        """
        self.root = root
        self.cache_dir = cache_dir

    def languages(self) -> list[str]:
        """List the languages on disk by canonical code.

        Raises:
            UserError: If the folder is missing.
        """
        return [entry.code for entry in LANGUAGES if (self._base() / entry.fleurs).is_dir()]

    def splits(self, language: str) -> list[str]:
        """List the splits of one language that have a TSV on disk.

        Raises:
            UserError: If the corpus lacks the language.
        """
        return sorted(path.stem for path in self._folder(language).glob("*.tsv"))

    def utterances(self, language: str, split: str) -> list[Utterance]:
        """List the recordings of one language in the order of its TSV.

        A sentence has as many utterances as it has recordings.

        Raises:
            UserError: If the language, the split or a recording is missing or a line is malformed.
        """
        rows = read_tsv(self._tsv(language, split))
        audio = self._audio(language, split)
        folder = self._folder(language)
        return [_utterance(row, _find(row, audio), folder.name, split, language) for row in rows]

    def texts(self, language: str, split: str) -> dict[str, str]:
        """Map sentence ids to raw transcriptions; needs no audio.

        Where the recordings of a sentence disagree about its text, the first in the TSV counts.

        Raises:
            UserError: If the language or split is missing or a line is malformed.
        """
        rows = read_tsv(self._tsv(language, split))
        return {row.sentence_id: row.text for row in reversed(rows)}

    def _base(self) -> Path:
        root = Path(resolve(self.root))
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; `root` must be a FLEURS folder on disk.")
        return root / "data" if (root / "data").is_dir() else root

    def _folder(self, code: str) -> Path:
        folder = self._base() / language(code).fleurs
        if not folder.is_dir():
            there = ", ".join(self.languages()) or "no FLEURS language"
            raise UserError(f"{folder}: no such folder, so {code!r} is missing; there is {there}.")
        return folder

    def _tsv(self, code: str, split: str) -> Path:
        path = self._folder(code) / f"{split}.tsv"
        if not path.is_file():
            there = ", ".join(self.splits(code)) or "none"
            raise UserError(f"{path}: no such file; splits of {code} on disk: {there}.")
        return path

    def _audio(self, code: str, split: str) -> dict[str, Path] | dict[str, ArchiveMember]:
        """Map file names to recordings."""
        base = self._folder(code) / "audio"
        if (base / split).is_dir():
            return {path.name: path for path in (base / split).iterdir()}
        for archive in (base / f"{split}.tar.gz", base / f"{split}.tar"):
            if archive.is_file():
                cache = Path(self.cache_dir) if self.cache_dir else None
                members = open_archive(archive, cache)
                return {name.removeprefix(f"{split}/"): member for name, member in members.items()}
        raise UserError(f"{base}: neither {split}/ nor {split}.tar.gz is there; fetch the audio.")


def read_tsv(path: Path) -> list[Row]:
    """Read the lines of one FLEURS TSV.

    A text may hold quotes (they mean nothing) and tabs. The outer columns are fixed, so a line
    with more than 7 fields has its tabs in the two texts; they are kept, and the border between
    the texts is where the normalised one agrees with its spelling.

    Raises:
        UserError: If the file is not UTF-8, a line is malformed or a file name occurs twice.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not UTF-8 at byte {error.start}; fetch the file again."
        ) from error
    if not lines[-1]:
        lines.pop()
    rows = [_row(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]
    first: dict[str, str] = {}
    for row in rows:
        if row.file in first:
            raise UserError(f"{row.place}: file {row.file!r} is already in {first[row.file]}.")
        first[row.file] = row.place
    return rows


def _row(line: str, place: str) -> Row:
    fields = line.split("\t")
    if len(fields) < 7:
        raise UserError(f"{place}: {len(fields)} tab-separated columns; FLEURS has 7.")
    sentence_id, file, *texts, spelled, samples, gender = fields
    text, normalized = _border(texts, spelled, place)
    sentence_id, file, gender = sentence_id.strip(), file.strip(), gender.strip().lower()
    if not sentence_id or not file:
        raise UserError(f"{place}: the sentence id or the file name is empty.")
    if not samples.strip().isdecimal() or int(samples) == 0:
        raise UserError(f"{place}: number of samples is {samples!r}; expected a positive integer.")
    if gender not in GENDERS:
        raise UserError(f"{place}: gender is {gender!r}; expected one of {', '.join(GENDERS)}.")
    return Row(place, sentence_id, file, text, normalized, int(samples), gender)


def _border(texts: list[str], spelled: str, place: str) -> tuple[str, str]:
    """Part the fields between file name and spelling into raw and normalised text."""
    letters = spelled.replace("|", "").replace(" ", "")
    for cut in range(1, len(texts)):
        text, normalized = "\t".join(texts[:cut]), "\t".join(texts[cut:])
        if len(texts) == 2 or "".join(normalized.split()) == letters:
            return _clean(text), _clean(normalized)
    raise UserError(
        f"{place}: {len(texts) + 5} tab-separated columns; FLEURS has 7, and the extra tabs"
        " cannot be placed because the spelled column does not match the texts."
    )


def _clean(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _find(row: Row, audio: dict[str, Path] | dict[str, ArchiveMember]) -> Path | ArchiveMember:
    if row.file not in audio:
        raise UserError(f"{row.place}: {row.file!r} is not among the {len(audio)} recordings.")
    return audio[row.file]


def _utterance(
    row: Row, audio: Path | ArchiveMember, locale: str, split: str, code: str
) -> Utterance:
    return Utterance(
        id=f"{locale}/{split}/{row.file}",
        sentence_id=row.sentence_id,
        language=language(code).code,
        audio=audio,
        start=0.0,
        duration=row.samples / SAMPLE_RATE,
        text=row.text,
        normalized_text=row.normalized_text,
        speaker_gender=row.gender,
    )
