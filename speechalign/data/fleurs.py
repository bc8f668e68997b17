"""FLEURS as it is released: TSV files and recordings on disk become Utterances.

Layout (Conneau et al. 2022), the first folder optional:

    data/<locale>/{train,dev,test}.tsv        see `fleurs_tsv`
    data/<locale>/audio/<split>/<file>        or audio/<split>.tar.gz (.tar) with <split>/<file>

What was read is kept as tables (`index`), so that the whole corpus is opened in a second.
"""

import json
import warnings
from collections.abc import Iterator, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import pyarrow as pa
from typing_extensions import override

from speechalign.assets import resolve
from speechalign.data.archive import ArchiveMember, open_archive
from speechalign.data.fleurs_tsv import Row, read_tsv
from speechalign.data.index import indexed
from speechalign.data.records import Columns, Source, Utterance, Utterances
from speechalign.data.report import REPORT, dropped
from speechalign.errors import Caution, UserError
from speechalign.languages import LANGUAGES, language

SAMPLE_RATE = 16_000  # of the column of samples, whatever the rate of the files
ROW = pa.schema([
    (name, pa.int64() if kind is int else pa.string()) for name, kind in Row.__annotations__.items()
])
PLACE = pa.schema([("row", pa.int64()), ("offset", pa.int64()), ("size", pa.int64())])
OnError = Literal["stop", "skip"]


class Fleurs(Source):
    """A FLEURS folder."""

    def __init__(
        self,
        root: str,
        cache_dir: str | None = None,
        on_error: OnError = "stop",
        keep_all: bool = False,
    ):
        """Remember where the corpus is; it is read when asked for.

        Args:
            root: The release's folder, with or without its `data/`; `assets:` paths are resolved.
            cache_dir: Where archives are decompressed and tables kept; by default
                `default_cache_dir()`.
            on_error: `stop` at a malformed line or a missing recording, or `skip` it and say so.
            keep_all: Also give the recordings that `quality.tsv` in the root says are dropped.
        """
        self.root = root
        self.cache_dir = Path(cache_dir) if cache_dir else None
        self.on_error: OnError = on_error
        self.keep_all = keep_all

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

    def utterances(self, language: str, split: str) -> "FleursUtterances":
        """List the recordings of one language in the order of its TSV.

        A sentence has as many utterances as it has recordings. Those that the corpus' report drops
        (`report`) are left out.

        Raises:
            UserError: If the language, the split or a recording is missing or a line is malformed.
        """
        tsv, audio = self._tsv(language, split), self._audio(language, split)
        rows = self._rows(tsv)

        def place() -> pa.Table:
            return self._place(tsv, rows, audio)

        kind = f"places {self.on_error}"
        places = indexed(kind, (tsv, audio), place, self.cache_dir)
        copy = metadata(places)["archive"]
        if copy and not Path(copy).exists():  # the cache was emptied
            places = place()
        tell_skipped(tsv, places)
        found = FleursUtterances(rows, places, audio, language)
        return found if self.keep_all else found.without(dropped(self._root() / REPORT))

    def texts(self, language: str, split: str) -> dict[str, str]:
        """Map sentence ids to raw transcriptions; needs no audio.

        Where the recordings of a sentence disagree about its text, the first in the TSV counts.

        Raises:
            UserError: If the language or split is missing or a line is malformed.
        """
        rows = self._rows(self._tsv(language, split))
        sentences, texts = (rows[name].to_pylist() for name in ("sentence_id", "text"))
        return dict(zip(reversed(sentences), reversed(texts), strict=True))

    def _root(self) -> Path:
        root = Path(resolve(self.root))
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; `root` must be a FLEURS folder on disk.")
        return root

    def _base(self) -> Path:
        root = self._root()
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

    def _audio(self, code: str, split: str) -> Path:
        """Find the folder or the archive of the recordings."""
        base = self._folder(code) / "audio"
        for found in (base / split, base / f"{split}.tar.gz", base / f"{split}.tar"):
            if found.exists():
                return found
        raise UserError(f"{base}: neither {split}/ nor {split}.tar.gz is there; fetch the audio.")

    def _rows(self, tsv: Path) -> pa.Table:
        def build() -> pa.Table:
            faults: list[UserError] | None = [] if self.on_error == "skip" else None
            rows = read_tsv(tsv, faults)
            columns = zip(*rows, strict=True) if rows else [[] for _ in ROW]
            schema = ROW.with_metadata(facts(faults or []))
            return pa.table([list(column) for column in columns], schema=schema)

        rows = indexed(f"rows {self.on_error}", (tsv,), build, self.cache_dir)
        tell_skipped(tsv, rows)
        return rows

    def _place(self, tsv: Path, rows: pa.Table, audio: Path) -> pa.Table:
        """Find each row's recording."""
        if audio.is_dir():
            there: dict[str, Any] = dict.fromkeys(path.name for path in audio.iterdir())
        else:
            prefix = f"{tsv.stem}/"
            members = open_archive(audio, self.cache_dir)
            there = {name.removeprefix(prefix): member for name, member in members.items()}
        found: list[tuple[int, int, int]] = []
        faults: list[UserError] = []
        for row, (file, line) in enumerate(
            zip(rows["file"].to_pylist(), rows["line"].to_pylist(), strict=True)
        ):
            if file in there:
                member = there[file]
                found.append((row, member.offset, member.size) if member else (row, -1, -1))
                continue
            faults.append(
                UserError(f"{tsv}:{line}: {file!r} is not among the {len(there)} recordings.")
            )
            if self.on_error == "stop":
                raise faults[0]
        archive = next((str(member.archive) for member in there.values() if member), "")
        columns = np.array(found, dtype=np.int64).reshape(-1, 3).T
        return pa.table(list(columns), schema=PLACE.with_metadata(facts(faults, archive)))


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
        self.archive = Path(metadata(places)["archive"])
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
        return FleursUtterances(self.rows, self.places.filter(kept), self.audio, self.code)

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
    """Write what a table says about itself: what was passed over, and the archive read from."""
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
