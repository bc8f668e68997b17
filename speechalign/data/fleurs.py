"""FLEURS as it is released: TSV files and recordings on disk become Utterances.

Layout (Conneau et al. 2022), the first folder optional:

    data/<locale>/{train,dev,test}.tsv        see `fleurs_tsv`
    data/<locale>/audio/<split>/<file>        or audio/<split>.tar.gz (.tar) with <split>/<file>

What was read is kept as tables (`index`), so that the whole corpus is opened in a second.
"""

from copy import copy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from speechalign.assets import resolve
from speechalign.data.archive import open_archive
from speechalign.data.fleurs_tables import (
    PLACE,
    ROW,
    FleursUtterances,
    facts,
    metadata,
    tell_skipped,
)
from speechalign.data.fleurs_tsv import read_tsv
from speechalign.data.index import indexed
from speechalign.data.records import Source
from speechalign.data.report import REPORT, dropped
from speechalign.errors import UserError
from speechalign.languages import LANGUAGES, language

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
                (A test does not stop at a missing recording, but counts it as unreadable.)
            keep_all: Also give the recordings that `quality.tsv` in the root (or above its `data/`)
                says are dropped.
        """
        self.root = root
        self.cache_dir = Path(cache_dir) if cache_dir else None
        self.on_error: OnError = on_error
        self.keep_all = keep_all
        self._keeps_missing = False
        self._report = (0, set[str]())  # its time of change, and what it drops

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

    def with_missing(self) -> "Fleurs":
        """Do not stop at a missing recording, but list it; where they are skipped they stay so."""
        whole = copy(self)
        whole._keeps_missing = self.on_error == "stop"
        return whole

    def utterances(self, language: str, split: str) -> FleursUtterances:
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

        kind = f"places {'keep' if self._keeps_missing else self.on_error}"
        places = indexed(kind, (tsv, audio), place, self.cache_dir)
        copy = metadata(places)["archive"]
        if copy and not Path(copy).exists():  # the cache was emptied
            places = place()
        tell_skipped(tsv, places)
        found = FleursUtterances(rows, places, audio, language)
        return found if self.keep_all else found.without(self._dropped())

    def has_audio(self, language: str, split: str) -> bool:
        """Whether a split has recordings of a language, and not its texts alone.

        Raises:
            UserError: If the corpus lacks the language.
        """
        there = split in self.splits(language)
        return there and any(place.exists() for place in self._places(language, split))

    def texts(self, language: str, split: str) -> dict[str, str]:
        """Map sentence ids to raw transcriptions; needs no audio.

        Where the recordings of a sentence disagree about its text, the first in the TSV counts.

        Raises:
            UserError: If the language or split is missing or a line is malformed.
        """
        rows = self._rows(self._tsv(language, split))
        sentences, texts = (rows[name].to_pylist() for name in ("sentence_id", "text"))
        return dict(zip(reversed(sentences), reversed(texts), strict=True))

    def _dropped(self) -> set[str]:
        """Name what the report drops; it is read again when it changed."""
        report = self._report_file()
        state = report.stat().st_mtime_ns if report.exists() else 0
        if self._report[0] != state:
            self._report = (state, dropped(report))
        return self._report[1]

    def _report_file(self) -> Path:
        """Find the report: in the root, or above it if that is the `data/` of a release."""
        root = self._root().absolute()
        own, inner = root / REPORT, root.name == "data" and not (root / "data").is_dir()
        return root.parent / REPORT if inner and not own.exists() else own

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
        places = self._places(code, split)
        found = next((place for place in places if place.exists()), None)
        if found is None:
            raise UserError(
                f"{places[0].parent}: neither {split}/ nor {split}.tar.gz nor {split}.tar is there;"
                " fetch the audio."
            )
        return found

    def _places(self, code: str, split: str) -> list[Path]:
        base = self._folder(code) / "audio"
        return [base / split, base / f"{split}.tar.gz", base / f"{split}.tar"]

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
            if self._keeps_missing:
                found.append((row, -1, -1))
                continue
            faults.append(
                UserError(f"{tsv}:{line}: {file!r} is not among the {len(there)} recordings.")
            )
            if self.on_error == "stop":
                raise faults[0]
        archive = next((member.archive.resolve() for member in there.values() if member), audio)
        copy = "" if archive == audio.resolve() or audio.is_dir() else str(archive)
        columns = np.array(found, dtype=np.int64).reshape(-1, 3).T
        return pa.table(list(columns), schema=PLACE.with_metadata(facts(faults, copy)))
