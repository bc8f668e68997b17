"""FLEURS in parquet becomes the release's TSV and an uncompressed tar, one small batch at a time.

Columns: id, num_samples, path, audio {bytes, path}, transcription, raw_transcription, gender; the
last is a text or its number in GENDERS. The spelled column of the TSV is made from the
transcription. Tabs and line breaks within a text become spaces, as they would part columns or
lines.
"""

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pyarrow
import soundfile
from pyarrow.parquet import ParquetFile

from speechalign.data.fleurs_tables import SAMPLE_RATE
from speechalign.data.fleurs_tsv import GENDERS
from speechalign.errors import UserError
from speechalign.interrupts import interrupts_held

ROWS = 16  # a batch: recordings that are in memory at once
TEXTS = ("id", "num_samples", "transcription", "raw_transcription", "gender")
BREAKS = re.compile(r"[\t\r\n]+")


def convert(shards: list[Path], split: str, tsv: Path, archive: Path | None) -> None:
    """Write the TSV of one split, and its recordings unless `archive` is None.

    Args:
        shards: The parquet files, in order.
        split: Its name, which is the folder in the archive.
        tsv: Where to write the TSV.
        archive: Where to write the tar.

    Raises:
        UserError: If a shard cannot be read, or a row lacks something, with shard and row.
    """
    with tsv.open("w", encoding="utf-8", newline="\n") as lines:
        if archive is None:
            lines.writelines(_line(row, place) for row, place in _rows(shards, audio=False))
            return
        with tarfile.open(archive, "w") as packed:
            for row, place in _rows(shards, audio=True):
                lines.write(_line(row, place))
                add_member(packed, f"{split}/{_file(row, place)}", _content(row, place))


def add_member(packed: tarfile.TarFile, name: str, content: bytes) -> None:
    """Put one file into an archive, with nothing in it that differs from run to run."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    packed.addfile(member, io.BytesIO(content))


def _rows(shards: list[Path], audio: bool) -> Iterator[tuple[dict[str, Any], str]]:
    """Read rows with their place for errors; without `audio` its bytes stay on disk."""
    for shard in shards:
        number = 0
        try:
            with ParquetFile(shard, buffer_size=1 << 20) as file:
                columns = _columns(file, audio, shard)
                for batch in file.iter_batches(ROWS, columns=columns):
                    for row in batch.to_pylist():
                        number += 1
                        yield row, f"{shard}, row {number}"
        except (pyarrow.ArrowException, OSError) as error:
            told = str(error).splitlines()[0]
            raise UserError(f"{shard}: no readable parquet ({told}); fetch it again.") from error


def _columns(file: ParquetFile, audio: bool, shard: Path) -> list[str]:
    there = set(file.schema_arrow.names)
    lacking = [name for name in (*TEXTS, "audio") if name not in there | {"num_samples"}]
    if lacking or (not audio and "num_samples" not in there):
        raise UserError(f"{shard}: no column {', '.join(lacking) or 'num_samples'}; not FLEURS.")
    return [*(name for name in TEXTS if name in there), "audio" if audio else "audio.path"]


def _line(row: dict[str, Any], place: str) -> str:
    """Write a line of the TSV."""
    text = BREAKS.sub(" ", row["raw_transcription"] or "")
    plain = BREAKS.sub(" ", row["transcription"] or "")
    spelled = " ".join("|" if letter == " " else letter for letter in plain) + " |"
    fields = (row["id"], _file(row, place), text, plain, spelled, _samples(row, place))
    return "\t".join(map(str, (*fields, _gender(row["gender"], place)))) + "\n"


def _file(row: dict[str, Any], place: str) -> str:
    """Name the recording: the end of a path that may be of another machine."""
    name = PurePath((row["audio"] or {}).get("path") or "").name
    if not name or BREAKS.search(name):
        raise UserError(f"{place}: the recording's path is {name!r}; expected a file name.")
    return name


def _content(row: dict[str, Any], place: str) -> bytes:
    content = (row["audio"] or {}).get("bytes")
    if not content:
        raise UserError(f"{place}: no audio in the file; fetch parquet that holds the recordings.")
    return content


def _samples(row: dict[str, Any], place: str) -> int:
    """Read the number of 16 kHz samples, or ask the recording for it."""
    if row.get("num_samples"):
        return row["num_samples"]
    try:
        with interrupts_held():
            info = soundfile.info(io.BytesIO(_content(row, place)))
    except soundfile.LibsndfileError as error:
        raise UserError(f"{place}: the recording is no audio ({error.error_string}).") from error
    return round(info.duration * SAMPLE_RATE)


def _gender(told: str | int | None, place: str) -> str:
    name = GENDERS[told] if isinstance(told, int) and 0 <= told < len(GENDERS) else told
    if not isinstance(name, str) or name.lower() not in GENDERS:
        raise UserError(f"{place}: gender is {told!r}; expected {', '.join(GENDERS)} or 0 to 2.")
    return name.upper()
