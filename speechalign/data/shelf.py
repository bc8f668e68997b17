"""The folder that FLEURS is brought into, and its record of what is whole there.

    <root>/data/<locale>/<split>.tsv, audio/<split>.tar.gz (.tar, or the folder <split>/)
    <root>/source.json      the commit all is from, and the sizes of what was found whole
    <root>/.incoming/       what is on its way; gone when nothing is
    <root>/.lock            held by the one call that fills the folder; never removed

A file that has the size it had when it was checked is not read again.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from speechalign.data.hub import REPOSITORY
from speechalign.data.layout import pattern_of
from speechalign.errors import UserError
from speechalign.files import write_text
from speechalign.languages import LANGUAGES

LOCK = ".lock"  # deleted, a call that waits for it would hold another file than the next one


class Wanted(NamedTuple):
    """One split of one language, with its recordings or as texts alone."""

    code: str
    locale: str
    split: str
    audio: bool

    @property
    def key(self) -> str:
        """Its name in the record."""
        return f"{self.locale}/{self.split}"


class Obtained(NamedTuple):
    """One split that is whole on disk."""

    wanted: Wanted
    recordings: int  # lines of the TSV
    size: int  # bytes on disk


class Shelf:
    """The folder and its record."""

    def __init__(self, root: Path, skip: bool = False):
        """Open a folder, which is made if absent.

        Args:
            root: The folder.
            skip: Whether a split with malformed lines or missing recordings counts as whole.

        Raises:
            UserError: If its record cannot be read.
        """
        self.root, self.skip = root, skip
        self.scratch = root / ".incoming"
        self.scratch.mkdir(parents=True, exist_ok=True)
        bare = any((root / entry.fleurs).is_dir() for entry in LANGUAGES)
        self.base = root if bare and not (root / "data").is_dir() else root / "data"
        self.record = _read_record(root / "source.json")

    def tsv(self, wanted: Wanted) -> Path:
        """Place the TSV of a split."""
        return self.base / wanted.locale / f"{wanted.split}.tsv"

    def audio(self, wanted: Wanted) -> Path | None:
        """Find the recordings of a split, in the order in which they are read."""
        folder = self.base / wanted.locale / "audio"
        names = (wanted.split, f"{wanted.split}.tar.gz", f"{wanted.split}.tar")
        return next((folder / name for name in names if (folder / name).exists()), None)

    def whole(self, wanted: Wanted) -> Obtained | None:
        """Look up a split that was checked, if its files are as they were."""
        known = self.record["splits"].get(wanted.key)
        if known is None or (wanted.audio and not known["audio"]):
            return None
        here = self._state(wanted, known["recordings"], bool(known["audio"]))
        return _obtained(wanted, known) if here == known else None

    def enter(self, wanted: Wanted, recordings: int) -> Obtained:
        """Write down that a split was checked."""
        known = self._state(wanted, recordings, wanted.audio)
        self.record["splits"][wanted.key] = known
        self._write()
        return _obtained(wanted, known)

    def held(self, revision: str | None) -> str | None:
        """Give the commit of the Hub that this folder is of, or None while it is of none.

        Raises:
            UserError: If `revision` is another than the one that was asked for then.
        """
        commit, name = self.record["commit"], self.record["revision"]
        if commit is None or revision in (None, name, commit):
            return commit
        if not any(path.is_file() for path in self.base.rglob("*")):
            return None
        raise UserError(
            f"{self.root} holds {REPOSITORY} at {commit} (revision {name!r}), not {revision!r}:"
            " give another --output, or the same --revision."
        )

    def pin(self, revision: str, commit: str) -> None:
        """Write down the commit that `revision` meant when the folder was begun."""
        self.record |= {"repository": REPOSITORY, "revision": revision, "commit": commit}
        self._write()

    def sweep(self, wanted: Wanted) -> None:
        """Remove from `.incoming` what a split that is whole left there, killed at times.

        Where texts alone are wanted, recordings on their way stay for when they are.
        """
        name = re.compile(rf"(^|/){wanted.locale}/(.*[/-])?{pattern_of(wanted.split)}[./-]")
        for path in list(self.scratch.rglob("*")):
            inside = path.relative_to(self.scratch).as_posix()
            ours = name.search(inside) and (wanted.audio or ".tar" not in inside)
            if ours and path.is_file():
                path.unlink()

    def tidy(self) -> None:
        """Remove folders of `.incoming` that are empty, and itself if nothing is on its way."""
        inside = sorted((p for p in self.scratch.rglob("*") if p.is_dir()), reverse=True)
        for folder in [*inside, self.scratch]:
            if not any(folder.iterdir()):
                folder.rmdir()

    def _state(self, wanted: Wanted, recordings: int, audio: bool) -> dict[str, Any]:
        """Describe what is there now."""
        tsv, sound = self.tsv(wanted), self.audio(wanted)
        return {
            "recordings": recordings,
            "tsv": _size(tsv),
            "audio": {"name": sound.name, "bytes": _size(sound)} if audio and sound else None,
        }

    def _write(self) -> None:
        splits = dict(sorted(self.record["splits"].items()))
        text = json.dumps(self.record | {"splits": splits}, indent=1, ensure_ascii=False)
        write_text(self.root / "source.json", text + "\n")


def _obtained(wanted: Wanted, known: dict[str, Any]) -> Obtained:
    sound = known["audio"]["bytes"] if wanted.audio and known["audio"] else 0
    return Obtained(wanted, known["recordings"], known["tsv"] + sound)


def _size(path: Path) -> int:
    """Count the bytes of a file or of the files in a folder; 0 if there is none."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir())
    return path.stat().st_size if path.is_file() else 0


def _read_record(file: Path) -> dict[str, Any]:
    empty = {"repository": None, "revision": None, "commit": None, "splits": {}}
    if not file.is_file():
        return empty
    try:
        record = empty | json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, TypeError, OSError) as error:
        raise UserError(f"{file}: damaged ({error}); delete it to check all anew.") from error
    return record
