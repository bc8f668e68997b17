"""One split of FLEURS as it is kept: a table of its lines and one of where recordings lie."""

import json
import warnings
from collections.abc import Iterator, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any, overload

import pyarrow as pa
from typing_extensions import override

from speechalign.data.archive import ArchiveMember
from speechalign.data.fleurs_tsv import Row
from speechalign.data.records import Columns, Utterance, Utterances
from speechalign.errors import Caution, UserError
from speechalign.languages import language

SAMPLE_RATE = 16_000  # of the column of samples, whatever the rate of the files
ROW = pa.schema([
    (name, pa.int64() if kind is int else pa.string()) for name, kind in Row.__annotations__.items()
])
PLACE = pa.schema([("row", pa.int64()), ("offset", pa.int64()), ("size", pa.int64())])


class FleursUtterances(Utterances):
    """The recordings of one language and split, made from their tables when asked for."""

    def __init__(self, rows: pa.Table, places: pa.Table, audio: Path, code: str):
        """Take the tables.

        Args:
            rows: Of the TSV.
            places: Where the recording of a row lies, if it is there.
            audio: The folder or the archive of the recordings.
            code: The language.
        """
        self.rows, self.places, self.audio = rows, places, audio
        self.archive = Path(metadata(places)["archive"] or audio)
        self.code = language(code).code
        self.split = audio.name.split(".")[0]
        self.tsv = audio.parents[1] / f"{self.split}.tsv"
        self.prefix = f"{language(code).fleurs}/{self.split}"
        self.skipped: list[str] = metadata(rows)["skipped"] + metadata(places)["skipped"]

    @override
    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, at: int) -> Utterance: ...
    @overload
    def __getitem__(self, at: slice) -> list[Utterance]: ...
    @override
    def __getitem__(self, at: int | slice) -> Utterance | list[Utterance]:
        if isinstance(at, slice):
            return [self[place] for place in range(len(self))[at]]
        at = range(len(self))[at]  # refuses what is beyond, and counts from the end
        row, offset, size = (column[at].as_py() for column in self.places.itercolumns())
        return self._utterance(
            *(column[row].as_py() for column in self.rows.itercolumns()), offset, size
        )

    @override
    def __iter__(self) -> Iterator[Utterance]:
        rows = self.rows.take(self.places["row"])
        used = (*rows.itercolumns(), self.places["offset"], self.places["size"])
        return starmap(self._utterance, zip(*(column.to_pylist() for column in used), strict=True))

    def without(self, ids: set[str]) -> "FleursUtterances":
        """Leave out recordings, by id."""
        start = f"{self.prefix}/"
        own = {name.removeprefix(start) for name in ids if name.startswith(start)}
        if not own:
            return self
        files = self.rows["file"].take(self.places["row"]).to_pylist()
        kept = pa.array([file not in own for file in files], type=pa.bool_())
        found = FleursUtterances(self.rows, self.places.filter(kept), self.audio, self.code)
        found.dropped = len(self) - len(found)
        return found

    def lines(self) -> list[str]:
        """Name the line of each recording, `FILE:LINE`."""
        return [f"{self.tsv}:{n}" for n in self.rows["line"].take(self.places["row"]).to_pylist()]

    @override
    def columns(self) -> Columns:
        rows = self.rows.take(self.places["row"])
        return Columns(
            rows["sentence_id"].to_pylist(),
            rows["samples"].to_numpy() / SAMPLE_RATE,
            [text != "" for text in rows["text"].to_pylist()],
        )

    def _utterance(self, *values: Any) -> Utterance:
        """Make a record of a line of both tables."""
        _, sentence, file, text, normalized, samples, gender, offset, size = values
        audio: Path | ArchiveMember = self.audio / file
        if offset >= 0:
            name = f"{self.split}/{file}"
            audio = ArchiveMember(self.archive, name, offset, size, self.audio)
        return Utterance(
            id=f"{self.prefix}/{file}",
            sentence_id=sentence,
            language=self.code,
            audio=audio,
            start=0.0,
            duration=samples / SAMPLE_RATE,
            text=text,
            normalized_text=normalized,
            speaker_gender=gender,
        )


def facts(faults: Sequence[UserError], archive: str = "") -> dict[str, str]:
    """Write what a table says of itself: what was passed over, where an archive is unpacked."""
    return {"facts": json.dumps({"archive": archive, "skipped": [str(fault) for fault in faults]})}


def metadata(table: pa.Table) -> dict[str, Any]:
    """Read what a table says about itself."""
    return json.loads(table.schema.metadata[b"facts"])


def tell_skipped(tsv: Path, table: pa.Table) -> None:
    """Warn in one line of what was passed over, and once, whoever asks for the table."""
    skipped = metadata(table)["skipped"]
    if skipped:
        warnings.warn(
            f"{tsv}: {len(skipped)} recordings are skipped; the first: {skipped[0]}",
            Caution,
            stacklevel=1,
        )
