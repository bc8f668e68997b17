"""CoVoST 2 (Wang et al. 2020), translations of Common Voice's clips, becomes entries of manifests.

As released, `covost_v2.<src>_<tgt>.tsv` has path, translation and split; what is said is in
Common Voice's own `validated.tsv`, beside its folder `clips/`. CoVoST's script joins the two into
`covost_v2.<src>_<tgt>.<split>.tsv` with path, sentence, translation and client_id. Both are read.
None of these files is quoted: a quote is a quote, and a backslash stands before what is not to be
taken for structure (the script puts one before every quote).
"""

import csv
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import soundfile

from speechalign.data.manifest_lines import Entry, text_in
from speechalign.errors import UserError
from speechalign.languages import language

NAME = re.compile(
    r"covost_v2\.(?P<direction>(?P<source>[A-Za-z-]+)_(?P<target>[A-Za-z-]+))"
    r"(\.(?P<split>train|dev|test))?\.tsv"
)
# CoVoST 2 trains on what CoVoST 1 added to Common Voice's split too; its dev_covost and test_covost
# belong to no split
SPLITS = {"train": "train", "train_covost": "train", "dev": "dev", "test": "test"}
Row = tuple[str, dict[str, str]]  # place for errors, fields


class ClipError(UserError):
    """A row that cannot be used, told with its file and line."""


class Direction(NamedTuple):
    """What the name of a file tells."""

    name: str  # as CoVoST writes it: en_zh-CN
    source: str  # canonical code
    target: str
    split: str | None  # None if the file has them all


class Clips:
    """Common Voice's folder `clips/`, and the tables beside it."""

    def __init__(self, folder: Path):
        """Look at the folder.

        Raises:
            UserError: If it is none, or the table of durations beside it is malformed.
        """
        if not folder.is_dir():
            raise UserError(f"{folder}: no folder; name Common Voice's clips/ with --clips.")
        self.folder = folder.absolute()
        table = self.folder.parent / "clip_durations.tsv"  # in later releases of Common Voice
        self._seconds = read_durations(table) if table.is_file() else {}

    @cached_property
    def sentences(self) -> dict[str, str]:
        """What is said, by path.

        Raises:
            UserError: If there is no `validated.tsv`, or it is malformed.
        """
        table = self.folder.parent / "validated.tsv"
        return {row["path"]: row["sentence"] for _, row in read_table(table, ("path", "sentence"))}

    def seconds(self, path: str, place: str) -> float:
        """Tell how long a clip is, by the table or else by its own header.

        Raises:
            ClipError: If it is missing, empty or not readable.
        """
        file = self.folder / path
        try:
            size, seconds = file.stat().st_size, self._seconds.get(path)
            if size and seconds is None:
                seconds = soundfile.info(str(file)).duration
        except OSError as error:
            raise ClipError(f"{place}: {file} cannot be read ({error.strerror}).") from error
        except RuntimeError as error:
            raise ClipError(f"{place}: {file} is no audio ({error}).") from error
        if not size or not seconds:
            raise ClipError(f"{place}: {file} is empty.")
        return seconds


def import_covost2(
    file: Path, clips: Clips, left_out: list[str] | None = None
) -> dict[str, list[Entry]]:
    """Read one file of translations.

    A clip's sentence id is its name, so that a clip that is translated into several languages says
    one sentence in all their manifests.

    Args:
        file: Named as CoVoST names it.
        clips: The recordings of its source language.
        left_out: Takes the faults of the rows that are left out; by default the first is raised.

    Returns:
        Entries by split: train, dev, test.

    Raises:
        UserError: If the file is malformed or of an unknown language, or a clip cannot be used.
    """
    direction = direction_of(file)
    found: dict[str, dict[str, Entry]] = {}
    for place, fields in rows_of(file, direction):
        split = SPLITS.get(direction.split or fields["split"])
        if split is None:
            continue
        entries = found.setdefault(split, {})
        try:
            entry = entry_of(fields, direction, clips, place)
            if entry.id in entries:
                raise ClipError(f"{place}: {fields['path']} is in {split} before.")
        except ClipError as fault:
            if left_out is None:
                raise
            left_out.append(str(fault))
        else:
            entries[entry.id] = entry
    if not any(found.values()):
        raise UserError(f"{file}: no clip of train, dev or test that can be used.")
    return {split: list(entries.values()) for split, entries in found.items()}


def direction_of(file: Path) -> Direction:
    """Read the languages and the split in a file's name.

    Raises:
        UserError: If it is not CoVoST's way, or a language is none that FLEURS has.
    """
    match = NAME.fullmatch(file.name)
    if match is None:
        raise UserError(
            f"{file}: expected the name that CoVoST 2 gives, covost_v2.<src>_<tgt>.tsv or"
            " covost_v2.<src>_<tgt>.<split>.tsv."
        )
    try:
        source, target = (language(match[part]).code for part in ("source", "target"))
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    return Direction(match["direction"], source, target, match["split"])


def rows_of(file: Path, direction: Direction) -> Iterator[Row]:
    """Read the translations; a file of all splits has a column for them."""
    columns = ("path", "translation") if direction.split else ("path", "translation", "split")
    return read_table(file, columns)


def entry_of(fields: dict[str, str], direction: Direction, clips: Clips, place: str) -> Entry:
    """Join a translation with its clip and what is said in it.

    Raises:
        ClipError: If a text is absent, or the clip cannot be used.
    """
    path = fields["path"]
    said = fields["sentence"] if "sentence" in fields else clips.sentences.get(path)
    if said is None:
        raise ClipError(f"{place}: {path} is not in validated.tsv; CoVoST 2 is of Common Voice 4.")
    texts = {"sentence": said, "translation": fields["translation"]}
    if not texts["translation"].strip():
        raise ClipError(f"{place}: {path} has no translation.")
    name = path.rpartition(".")[0] or path
    return Entry(
        id=name,
        audio=str(clips.folder / path),
        duration=clips.seconds(path, place),
        src_lang=direction.source,
        sentence_id=name,
        src_text=text_in(texts, "sentence", place) or None,
        tgt_lang=direction.target,
        tgt_text=text_in(texts, "translation", place),
    )


def read_durations(table: Path) -> dict[str, float]:
    """Read Common Voice's table of durations: seconds by path.

    Raises:
        UserError: If it is malformed, with the line.
    """
    seconds = {}
    for place, row in read_table(table, ("clip", "duration[ms]")):
        told = row["duration[ms]"]
        if not told.isdecimal():
            raise UserError(f"{place}: the duration is {told!r}; expected whole milliseconds.")
        seconds[row["clip"]] = int(told) / 1000
    return seconds


def read_table(file: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    """Read a TSV with a header, row by row.

    Raises:
        UserError: If it cannot be read, lacks a column, or a row has too few or too many fields.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\")
            header = next(reader, [])
            missing = [column for column in columns if column not in header]
            if missing:
                raise UserError(f"{file}:1: no column {', '.join(missing)}; expected a header.")
            for row in reader:
                place = f"{file}:{reader.line_num}"
                if len(row) != len(header):
                    raise UserError(f"{place}: {len(row)} fields; expected {len(header)}.")
                yield place, dict(zip(header, row, strict=True))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 at byte {error.start}.") from error
    except csv.Error as error:
        raise UserError(f"{file}: no table ({error}).") from error
