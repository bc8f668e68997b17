"""One TSV of FLEURS, read line by line and checked.

It has no header and no quoting, and 7 columns: sentence id, file, raw transcription, normalised
transcription, the latter spelled (`a b | c |`), number of 16 kHz samples, gender.
Texts are brought to Unicode NFC and stripped; nothing else is done to them.
"""

import re
import unicodedata
from codecs import BOM_UTF8
from pathlib import Path
from typing import NamedTuple

from speechalign.errors import UserError, noted
from speechalign.files import decoded

SAMPLES = re.compile(r"[1-9][0-9]{0,17}")  # a count that 64 bits hold
GENDERS = ("male", "female", "other")


class Row(NamedTuple):
    """One line of a FLEURS TSV."""

    line: int
    sentence_id: str
    file: str
    text: str
    normalized_text: str
    samples: int
    gender: str


def read_tsv(path: Path, faults: list[UserError] | None = None) -> list[Row]:
    """Read the lines of one FLEURS TSV.

    A text may hold quotes (they mean nothing) and tabs. The outer columns are fixed, so a line
    with more than 7 fields has its tabs in the two texts; they are kept, and the border between
    the texts is where the normalised one agrees with its spelling.

    Args:
        path: The TSV.
        faults: Takes the errors of single lines, which are then passed over.

    Raises:
        UserError: If a line is malformed or not UTF-8, or a file name occurs twice.
    """
    lines = path.read_bytes().removeprefix(BOM_UTF8).split(b"\n")
    if not lines[-1]:
        lines.pop()
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines, start=1):
        place = f"{path}:{number}"
        with noted(faults):
            row = _row(decoded(line, place), number, place)
            first = rows.setdefault(row.file, row)
            if first is not row:
                raise UserError(f"{place}: file {row.file!r} is already in line {first.line}.")
    return list(rows.values())


def _row(line: str, number: int, place: str) -> Row:
    fields = line.split("\t")
    if len(fields) < 7:
        raise UserError(f"{place}: {len(fields)} tab-separated columns; FLEURS has 7.")
    sentence_id, file, *texts, spelled, samples, gender = fields
    text, normalized = _border(texts, spelled, place)
    sentence_id, file, gender = sentence_id.strip(), file.strip(), gender.strip().lower()
    if not sentence_id or not file:
        raise UserError(f"{place}: the sentence id or the file name is empty.")
    if not SAMPLES.fullmatch(samples.strip()):
        raise UserError(
            f"{place}: number of samples is {samples!r:.40}; expected a positive integer of at"
            " most 18 digits."
        )
    if gender not in GENDERS:
        raise UserError(f"{place}: gender is {gender!r}; expected one of {', '.join(GENDERS)}.")
    return Row(number, sentence_id, file, text, normalized, int(samples), gender)


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
